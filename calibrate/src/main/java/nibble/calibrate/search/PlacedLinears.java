package nibble.calibrate.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import nibble.checkpoint.model.LayerLinear;
import nibble.engine.backend.Backend;
import nibble.engine.backend.PlacedWeight;
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

    /** The weight of a linear as it is now, on each device; valid until another form of the linear is asked for. */
    List<Weight> weights(LayerLinear linear, QuantizedLinear made) {
        if (sources.get(linear) != made) {
            giveBack(placed.getOrDefault(linear, List.of()));
            List<PlacedWeight> brought = new ArrayList<>();
            sources.put(linear, made);
            placed.put(linear, brought);
            for (Backend backend : backends) {
                backend.makeCurrent();
                brought.add(backend.bring(new QuantizedWeight(made)));
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
