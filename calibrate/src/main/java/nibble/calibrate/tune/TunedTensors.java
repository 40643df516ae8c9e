package nibble.calibrate.tune;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.model.quantization.QuantizedFormat;

/** Names of what tuning changes in a checkpoint. */
public final class TunedTensors {
    private TunedTensors() {}

    /**
     * Names of a layer's tensors that tuning changes: scales and norms, and codes if they move.
     *
     * @param codes whether they do
     */
    public static List<String> ofLayer(ModelConfig config, QuantizedFormat format, boolean codes, int layer) {
        List<String> names = new ArrayList<>();
        for (LinearModule module : config.modules(layer)) {
            names.add(format.name(module.name(layer), Role.SCALES));
            if (codes) {
                names.add(format.name(module.name(layer), Role.CODES));
            }
        }
        for (LayerNorm norm : LayerNorm.values()) {
            config.norm(norm, layer).ifPresent(names::add);
        }
        if (config.architecture().headNorm().isStored()) {
            names.add(TensorNames.queryNorm(layer));
            names.add(TensorNames.keyNorm(layer));
        }
        return names;
    }

    /** Returns all of them. */
    public static Set<String> all(ModelConfig config, QuantizedFormat format, boolean codes) {
        Set<String> names = new HashSet<>(Set.of(TensorNames.FINAL_NORM));
        for (int layer = 0; layer < config.layers(); layer++) {
            names.addAll(ofLayer(config, format, codes, layer));
        }
        return names;
    }
}
