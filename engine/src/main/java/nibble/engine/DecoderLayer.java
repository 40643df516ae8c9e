package nibble.engine;

import java.util.EnumMap;
import java.util.Map;
import java.util.function.UnaryOperator;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaLinear;
import nibble.convert.QuantizedFormat;
import nibble.convert.TensorNames;
import nibble.convert.TensorView;
import nibble.pack.ActOrderLinear;
import nibble.pack.AwqLayout;
import nibble.pack.Dequantized;
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

    /** The layer with each of its weights replaced. */
    public DecoderLayer map(UnaryOperator<Weight> replacement) {
        return new DecoderLayer(
                inputNorm,
                replacement.apply(q),
                replacement.apply(k),
                replacement.apply(v),
                replacement.apply(o),
                postAttentionNorm,
                replacement.apply(gate),
                replacement.apply(up),
                replacement.apply(down));
    }

    /** The layer as backends of the host compute with it: weights of AWQ checkpoints unpacked. */
    DecoderLayer unpacked() {
        return map(weight -> weight instanceof AwqWeight(AwqLayout.AwqLinear linear)
                ? new QuantizedWeight(linear.unpack())
                : weight);
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
     * Layer {@code layer} of a checkpoint. Dense and AWQ weights stay views of the mapped files, so the checkpoint
     * must stay open while the layer is used.
     */
    public static DecoderLayer read(Checkpoint checkpoint, int layer) {
        boolean quantized = checkpoint.config().quantization().isPresent();
        Map<LlamaLinear, Weight> weights = new EnumMap<>(LlamaLinear.class);
        for (LlamaLinear linear : LlamaLinear.values()) {
            weights.put(
                    linear,
                    quantized
                            ? packed(checkpoint, linear, layer)
                            : new DenseWeight(checkpoint.tensor(linear.module(layer) + ".weight")));
        }
        return of(
                vector(checkpoint.tensor(TensorNames.inputNorm(layer))),
                weights,
                vector(checkpoint.tensor(TensorNames.postAttentionNorm(layer))));
    }

    /** AWQ as it lies; other layouts unpacked, those in order of activation dense, as their groups are no runs of columns. */
    private static Weight packed(Checkpoint checkpoint, LlamaLinear linear, int layer) {
        if (checkpoint.config().quantization().map(q -> q.format() == QuantizedFormat.AWQ_GEMM).orElse(false)) {
            return new AwqWeight(AwqLayout.read(checkpoint, linear, layer));
        }
        return switch (PackedLinears.read(checkpoint, linear, layer)) {
            case QuantizedLinear plain -> new QuantizedWeight(plain);
            case ActOrderLinear ordered -> new DenseWeight(Dequantized.half(linear.module(layer), ordered));
        };
    }

    /** The values of a vector of F16, BF16 or F32. */
    static float[] vector(TensorView tensor) {
        float[] values = new float[Math.toIntExact(tensor.shape().elements())];
        WeightRows.read(tensor, 0, values, 0, values.length);
        return values;
    }
}
