package nibble.calibrate;

import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.convert.TensorNames;
import nibble.pack.Half;
import nibble.pack.WeightReader;

/**
 * The original weights of one decoder layer as floats, all known to be finite.
 *
 * @param linears unscaled
 * @param files where each linear's weight lies, for messages
 */
record LayerSource(
        int layer,
        float[] inputNorm,
        float[] postAttentionNorm,
        Map<LlamaLinear, ScaledLinear> linears,
        Map<LlamaLinear, Path> files) {

    /** @throws BadCheckpointException if a weight is not finite or a norm is too large for fp16 */
    static LayerSource read(Checkpoint checkpoint, int layer) {
        LlamaConfig config = checkpoint.config();
        Map<LlamaLinear, ScaledLinear> linears = new EnumMap<>(LlamaLinear.class);
        Map<LlamaLinear, Path> files = new EnumMap<>(LlamaLinear.class);
        for (LlamaLinear linear : LlamaLinear.values()) {
            String name = linear.module(layer) + ".weight";
            Path file = checkpoint.fileOf(name);
            float[] weights = WeightReader.floats(checkpoint.tensor(name), file);
            files.put(linear, file);
            linears.put(linear, ScaledLinear.of(weights, config.outFeatures(linear), config.inFeatures(linear)));
        }
        return new LayerSource(
                layer,
                norm(checkpoint, TensorNames.inputNorm(layer)),
                norm(checkpoint, TensorNames.postAttentionNorm(layer)),
                linears,
                files);
    }

    private static float[] norm(Checkpoint checkpoint, String name) {
        Path file = checkpoint.fileOf(name);
        float[] norm = WeightReader.floats(checkpoint.tensor(name), file);
        for (int i = 0; i < norm.length; i++) {
            if (!Float.isFinite(Half.round(norm[i]))) {
                throw new BadCheckpointException(
                        file,
                        "tensor " + name + " element [" + i + "] is " + norm[i]
                                + ", beyond fp16's largest value 65504, and the output keeps norms in fp16");
            }
        }
        return norm;
    }

    ScaledLinear linear(LlamaLinear linear) {
        ScaledLinear found = linears.get(linear);
        if (found == null) {
            throw new IllegalStateException("layer without " + linear.path());
        }
        return found;
    }

    Path file(LlamaLinear linear) {
        Path found = files.get(linear);
        if (found == null) {
            throw new IllegalStateException("layer without " + linear.path());
        }
        return found;
    }

    String name(LlamaLinear linear) {
        return linear.module(layer) + ".weight";
    }
}
