package nibble.calibrate.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import nibble.checkpoint.model.LayerLinear;
import nibble.engine.backend.Backend;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DeviceWeight;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;

/** What is quantized of a layer so far, on each device: each linear is brought once. Owns what it brought. */
final class PlacedLinears implements AutoCloseable {
    private final List<Backend> backends;
    private final Map<LayerLinear, QuantizedLinear> sources = new TreeMap<>();
    private final Map<LayerLinear, List<PlacedWeight>> placed = new TreeMap<>();

    PlacedLinears(List<Backend> backends) {
        this.backends = backends;
    }

    /**
     * The weight of a linear as it is now, where the original's is on each device; valid until another form of the
     * linear is asked for.
     */
    List<Weight> weights(LayerLinear linear, QuantizedLinear made, List<DecoderLayer> original) {
        if (sources.get(linear) != made) {
            giveBack(placed.getOrDefault(linear, List.of()));
            List<PlacedWeight> brought = new ArrayList<>();
            sources.put(linear, made);
            placed.put(linear, brought);
            for (int i = 0; i < backends.size(); i++) {
                QuantizedWeight weight = new QuantizedWeight(made);
                backends.get(i).makeCurrent();
                brought.add(
                        original.get(i).weight(linear.linear(), linear.expert()) instanceof DeviceWeight
                                ? backends.get(i).bring(weight)
                                : new PlacedWeight(weight, () -> {}));
            }
            backends.getFirst().makeCurrent();
        }
        return placed.getOrDefault(linear, List.of()).stream()
                .map(PlacedWeight::weight)
                .toList();
    }

    private void giveBack(List<PlacedWeight> weights) {
        for (int i = 0; i < weights.size(); i++) {
            backends.get(i).makeCurrent();
            weights.get(i).close();
        }
        backends.getFirst().makeCurrent();
    }

    @Override
    public void close() {
        placed.values().forEach(this::giveBack);
    }
}
