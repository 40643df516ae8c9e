package nibble.engine.gradient;

import java.util.EnumMap;
import java.util.Map;
import nibble.checkpoint.model.Linear;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.PlacedCodes;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.tensor.Weight;

/** Holds a tuned layer with its weights as its scales are now, for forward and backward passes. Owns the weights. */
final class LayerWeights implements AutoCloseable {
    private final TunedLayer tuned;
    private final Map<Linear, PlacedCodes> codes;
    private final int index;
    private final Map<Linear, PlacedWeight> weights = new EnumMap<>(Linear.class);

    LayerWeights(int index, TunedLayer tuned, Map<Linear, PlacedCodes> codes, GradientOperations operations) {
        this.index = index;
        this.tuned = tuned;
        this.codes = codes;
        try {
            for (Linear linear : Linear.SEVEN) {
                weights.put(linear, operations.weight(codes(linear), tuned.scales(linear)));
            }
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** The layer's number, which tells how it attends. */
    int index() {
        return index;
    }

    TunedLayer tuned() {
        return tuned;
    }

    PlacedCodes codes(Linear linear) {
        return present(codes, linear);
    }

    Weight weight(Linear linear) {
        return present(weights, linear).weight();
    }

    private static <T> T present(Map<Linear, T> of, Linear linear) {
        T found = of.get(linear);
        if (found == null) {
            throw new IllegalStateException("layer without " + linear.path());
        }
        return found;
    }

    @Override
    public void close() {
        weights.values().forEach(PlacedWeight::close);
    }
}
