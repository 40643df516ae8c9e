package nibble.calibrate.search;

import java.util.EnumMap;
import java.util.Map;
import nibble.checkpoint.model.Linear;
import nibble.engine.backend.Backend;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;

/** What is quantized of a layer so far, where a backend computes: each linear is brought once. Owns what it brought. */
final class PlacedLinears implements AutoCloseable {
    private final Backend backend;
    private final Map<Linear, QuantizedLinear> sources = new EnumMap<>(Linear.class);
    private final Map<Linear, PlacedWeight> placed = new EnumMap<>(Linear.class);

    PlacedLinears(Backend backend) {
        this.backend = backend;
    }

    /** The weight of a linear as it is now; valid until another form of the same linear is asked for. */
    Weight weight(Linear linear, QuantizedLinear made) {
        PlacedWeight there = placed.get(linear);
        if (there != null && sources.get(linear) == made) {
            return there.weight();
        }
        if (there != null) {
            there.close();
        }
        PlacedWeight brought = backend.bring(new QuantizedWeight(made));
        sources.put(linear, made);
        placed.put(linear, brought);
        return brought.weight();
    }

    @Override
    public void close() {
        placed.values().forEach(PlacedWeight::close);
    }
}
