package nibble.calibrate;

import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.convert.StoredLinear;
import nibble.convert.TensorNames;
import nibble.pack.Half;
import nibble.pack.WeightReader;

/**
 * The original weights of one decoder layer as floats, all known to be finite.
 *
 * @param inputNorm gain of the norm before attention: what the checkpoint stores, plus {@code normOffset}
 * @param postAttentionNorm gain of the norm before the MLP
 * @param normOffset what the stored weight of a norm lacks of its gain
 * @param linears unscaled
 * @param biases of the linears that have one
 * @param queryNorm of the query heads; empty where there is none
 * @param keyNorm of the key heads; empty where there is none
 * @param stored where each linear's weight lies
 * @param files the same in files, for messages
 */
record LayerSource(
        int layer,
        float[] inputNorm,
        float[] postAttentionNorm,
        float normOffset,
        Map<LlamaLinear, ScaledLinear> linears,
        Map<LlamaLinear, float[]> biases,
        float[] queryNorm,
        float[] keyNorm,
        Map<LlamaLinear, StoredLinear> stored,
        Map<LlamaLinear, Path> files) {

    /** @throws BadCheckpointException if a weight is not finite or a norm is too large for fp16 */
    static LayerSource read(Checkpoint checkpoint, int layer) {
        LlamaConfig config = checkpoint.config();
        Map<LlamaLinear, ScaledLinear> linears = new EnumMap<>(LlamaLinear.class);
        Map<LlamaLinear, float[]> biases = new EnumMap<>(LlamaLinear.class);
        Map<LlamaLinear, StoredLinear> stored = new EnumMap<>(LlamaLinear.class);
        Map<LlamaLinear, Path> files = new EnumMap<>(LlamaLinear.class);
        for (LlamaLinear linear : LlamaLinear.values()) {
            StoredLinear where = config.stored(linear, layer);
            Path file = checkpoint.fileOf(where.weight());
            float[] weights = WeightReader.floats(where.weight(checkpoint), file);
            config.bias(linear, layer).ifPresent(bias -> biases.put(linear, vector(checkpoint, bias.name(), "biases")));
            stored.put(linear, where);
            files.put(linear, file);
            linears.put(linear, ScaledLinear.of(weights, config.outFeatures(linear), config.inFeatures(linear)));
        }
        float offset = config.architecture().normOffset();
        boolean heads = config.architecture().normalizesHeads();
        return new LayerSource(
                layer,
                gain(vector(checkpoint, TensorNames.inputNorm(layer), "norms"), offset),
                gain(vector(checkpoint, TensorNames.postAttentionNorm(layer), "norms"), offset),
                offset,
                linears,
                biases,
                heads ? vector(checkpoint, TensorNames.queryNorm(layer), "norms") : new float[0],
                heads ? vector(checkpoint, TensorNames.keyNorm(layer), "norms") : new float[0],
                stored,
                files);
    }

    private static float[] gain(float[] weight, float offset) {
        for (int i = 0; i < weight.length; i++) {
            weight[i] += offset;
        }
        return weight;
    }

    private static float[] vector(Checkpoint checkpoint, String name, String kind) {
        Path file = checkpoint.fileOf(name);
        float[] values = WeightReader.floats(checkpoint.tensor(name), file);
        for (int i = 0; i < values.length; i++) {
            if (!Float.isFinite(Half.round(values[i]))) {
                throw new BadCheckpointException(
                        file,
                        "tensor " + name + " element [" + i + "] is " + values[i]
                                + ", beyond fp16's largest value 65504, and the output keeps " + kind + " in fp16");
            }
        }
        return values;
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

    /** What reports and messages call a linear. */
    String label(LlamaLinear linear) {
        StoredLinear found = stored.get(linear);
        if (found == null) {
            throw new IllegalStateException("layer without " + linear.path());
        }
        return found.label();
    }
}
