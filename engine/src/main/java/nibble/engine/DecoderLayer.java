package nibble.engine;

import java.util.EnumMap;
import java.util.Map;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaLinear;
import nibble.convert.TensorNames;
import nibble.convert.TensorView;
import nibble.pack.ActOrderLinear;
import nibble.pack.Dequantized;
import nibble.pack.PackedLinear;
import nibble.pack.PackedLinears;
import nibble.pack.QuantizedLinear;

/**
 * The weights of one decoder layer.
 *
 * @param inputNorm RMSNorm weight before attention, [hidden]
 * @param postAttentionNorm RMSNorm weight before the MLP, [hidden]
 */
public record DecoderLayer(
        float[] inputNorm,
        Weight q,
        Weight k,
        Weight v,
        Weight o,
        float[] postAttentionNorm,
        Weight gate,
        Weight up,
        Weight down) {

    /** The weight of one of the seven linears. */
    public Weight weight(LlamaLinear linear) {
        return switch (linear) {
            case Q -> q;
            case K -> k;
            case V -> v;
            case O -> o;
            case GATE -> gate;
            case UP -> up;
            case DOWN -> down;
        };
    }

    /** A layer of these norms and these seven weights. */
    public static DecoderLayer of(float[] inputNorm, Map<LlamaLinear, ? extends Weight> w, float[] postAttentionNorm) {
        return new DecoderLayer(
                inputNorm,
                required(w, LlamaLinear.Q),
                required(w, LlamaLinear.K),
                required(w, LlamaLinear.V),
                required(w, LlamaLinear.O),
                postAttentionNorm,
                required(w, LlamaLinear.GATE),
                required(w, LlamaLinear.UP),
                required(w, LlamaLinear.DOWN));
    }

    private static Weight required(Map<LlamaLinear, ? extends Weight> weights, LlamaLinear linear) {
        Weight weight = weights.get(linear);
        if (weight == null) {
            throw new IllegalArgumentException("decoder layer without a weight for " + linear.path());
        }
        return weight;
    }

    /**
     * Layer {@code layer} of a dense or quantized checkpoint. Dense weights stay views of the mapped files, so the checkpoint
     * must stay open while the layer is used.
     */
    public static DecoderLayer read(Checkpoint checkpoint, int layer) {
        boolean quantized = checkpoint.config().quantization().isPresent();
        Map<LlamaLinear, Weight> weights = new EnumMap<>(LlamaLinear.class);
        for (LlamaLinear linear : LlamaLinear.values()) {
            weights.put(
                    linear,
                    quantized
                            ? weight(linear.module(layer), PackedLinears.read(checkpoint, linear, layer))
                            : new DenseWeight(checkpoint.tensor(linear.module(layer) + ".weight")));
        }
        return of(
                vector(checkpoint.tensor(TensorNames.inputNorm(layer))),
                weights,
                vector(checkpoint.tensor(TensorNames.postAttentionNorm(layer))));
    }

    /** Act-order weights become dense ones, as their groups are no runs of columns. */
    private static Weight weight(String name, PackedLinear packed) {
        return switch (packed) {
            case QuantizedLinear linear -> new QuantizedWeight(linear);
            case ActOrderLinear linear -> new DenseWeight(Dequantized.half(name, linear));
        };
    }

    /** The values of a vector of F16, BF16 or F32. */
    static float[] vector(TensorView tensor) {
        float[] values = new float[Math.toIntExact(tensor.shape().elements())];
        WeightRows.read(tensor, 0, values, 0, values.length);
        return values;
    }
}
