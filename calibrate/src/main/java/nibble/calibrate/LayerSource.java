package nibble.calibrate;

import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaLinear;
import nibble.convert.TensorNames;
import nibble.engine.DecoderLayer;
import nibble.engine.DenseWeight;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.QuantizationDevices;
import nibble.pack.Half;
import nibble.pack.QuantizationSpec;
import nibble.pack.WeightReader;

/**
 * The original weights of one decoder layer, all known to be finite. Owns the linears.
 *
 * @param linears where the backend computes
 */
record LayerSource(
        int layer, float[] inputNorm, float[] postAttentionNorm, Map<LlamaLinear, LinearQuantizer> linears)
        implements AutoCloseable {

    /**
     * Takes a layer of the feed.
     *
     * @param placed on each device
     * @throws BadCheckpointException if a weight is not finite or a norm is too large for fp16
     */
    static LayerSource of(
            Checkpoint checkpoint,
            int layer,
            List<DecoderLayer> placed,
            QuantizationDevices devices,
            QuantizationSpec spec) {
        float[] inputNorm = norm(checkpoint, TensorNames.inputNorm(layer));
        float[] postAttentionNorm = norm(checkpoint, TensorNames.postAttentionNorm(layer));
        Map<LlamaLinear, LinearQuantizer> linears = new EnumMap<>(LlamaLinear.class);
        for (LlamaLinear linear : LlamaLinear.values()) {
            String name = linear.module(layer) + ".weight";
            linears.put(
                    linear,
                    devices.quantizer(
                            placed.stream().map(there -> there.weight(linear)).toList(),
                            new DenseWeight(checkpoint.tensor(name)),
                            checkpoint.fileOf(name),
                            spec));
        }
        return new LayerSource(layer, inputNorm, postAttentionNorm, linears);
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

    LinearQuantizer linear(LlamaLinear linear) {
        LinearQuantizer found = linears.get(linear);
        if (found == null) {
            throw new IllegalStateException("layer without " + linear.path());
        }
        return found;
    }

    @Override
    public void close() {
        linears.values().forEach(LinearQuantizer::close);
    }
}
