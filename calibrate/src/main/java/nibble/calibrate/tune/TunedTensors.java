package nibble.calibrate.tune;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import nibble.calibrate.search.QuantizedLayer;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.LinearTensor.Role;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.QuantizedFormat;
import nibble.checkpoint.model.TensorNames;
import nibble.engine.gradient.Parameter;
import nibble.engine.gradient.TunedLayer;
import nibble.pack.Half;
import nibble.pack.QuantizedLinear;

/** What tuning changes in a checkpoint, and a tuned layer as the checkpoint holds it: in fp16. */
public final class TunedTensors {
    private TunedTensors() {}

    /** Names of a layer's tensors that tuning changes: scales and norms. */
    public static List<String> ofLayer(ModelConfig config, QuantizedFormat format, int layer) {
        List<String> names = new ArrayList<>();
        for (LinearModule module : config.modules()) {
            names.add(format.name(module.name(layer), Role.SCALES));
        }
        names.add(TensorNames.inputNorm(layer));
        names.add(TensorNames.postAttentionNorm(layer));
        if (config.architecture().normalizesHeads()) {
            names.add(TensorNames.queryNorm(layer));
            names.add(TensorNames.keyNorm(layer));
        }
        return names;
    }

    /** All of them. */
    public static Set<String> all(ModelConfig config, QuantizedFormat format) {
        Set<String> names = new HashSet<>(Set.of(TensorNames.FINAL_NORM));
        for (int layer = 0; layer < config.layers(); layer++) {
            names.addAll(ofLayer(config, format, layer));
        }
        return names;
    }

    /** A layer with its numbers rounded to fp16. */
    static QuantizedLayer rounded(TunedLayer layer, float normOffset) {
        Map<Linear, QuantizedLinear> linears = new EnumMap<>(Linear.class);
        for (Linear linear : Linear.values()) {
            float[] scales = layer.scales(linear).values();
            short[] halves = new short[scales.length];
            for (int i = 0; i < halves.length; i++) {
                halves[i] = Float.floatToFloat16(Math.clamp(scales[i], Half.MIN_VALUE, Half.MAX));
            }
            linears.put(linear, layer.codes(linear).withScales(halves));
        }
        Map<Linear, short[]> biases = new EnumMap<>(Linear.class);
        layer.biases().forEach((linear, bias) -> biases.put(linear, halves(bias, 0)));
        return new QuantizedLayer(
                halves(layer.inputNorm().values(), normOffset),
                linears,
                halves(layer.postAttentionNorm().values(), normOffset),
                normOffset,
                biases,
                layer.headNorms()
                        .map(norms -> halves(norms.query().values(), normOffset))
                        .orElse(new short[0]),
                layer.headNorms()
                        .map(norms -> halves(norms.key().values(), normOffset))
                        .orElse(new short[0]));
    }

    /** A norm as stored: its gain less the offset. */
    static short[] norm(Parameter gain, float normOffset) {
        return halves(gain.values(), normOffset);
    }

    /** A norm's gain as a reader of the checkpoint gets it. */
    static float[] roundedNorm(Parameter gain, float normOffset) {
        short[] stored = norm(gain, normOffset);
        float[] floats = new float[stored.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = Float.float16ToFloat(stored[i]) + normOffset;
        }
        return floats;
    }

    private static short[] halves(float[] values, float offset) {
        short[] halves = new short[values.length];
        for (int i = 0; i < halves.length; i++) {
            halves[i] = Float.floatToFloat16(Math.clamp(values[i] - offset, -Half.MAX, Half.MAX));
        }
        return halves;
    }
}
