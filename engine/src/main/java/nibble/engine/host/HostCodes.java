package nibble.engine.host;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.model.Linear;
import nibble.engine.backend.CodeStore;
import nibble.engine.backend.PlacedCodes;
import nibble.pack.QuantizedLinear;

/** Holds codes and zeros where the host's operations read them: on the Java heap. */
record HostCodes(QuantizedLinear linear) implements PlacedCodes {
    static QuantizedLinear of(PlacedCodes codes) {
        if (codes instanceof HostCodes(QuantizedLinear linear)) {
            return linear;
        }
        throw new IllegalArgumentException(
                "codes of another backend: " + codes.getClass().getSimpleName());
    }

    @Override
    public int outFeatures() {
        return linear.outFeatures();
    }

    @Override
    public int inFeatures() {
        return linear.inFeatures();
    }

    @Override
    public int groups() {
        return linear.groups();
    }

    /** Keeps all layers, with codes of its own, since these may move. */
    static final class Store implements CodeStore {
        private final List<Map<Linear, PlacedCodes>> layers = new ArrayList<>();

        @Override
        public void add(Map<Linear, QuantizedLinear> layer) {
            Map<Linear, PlacedCodes> codes = new EnumMap<>(Linear.class);
            layer.forEach((linear, quantized) -> codes.put(linear, new HostCodes(quantized.withOwnCodes())));
            layers.add(codes);
        }

        @Override
        public Map<Linear, PlacedCodes> layer(int index, int next) {
            return layers.get(index);
        }

        @Override
        public void close() {
            layers.clear();
        }
    }
}
