package nibble.calibrate;

import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import nibble.convert.LlamaLinear;
import nibble.engine.DecoderLayer;
import nibble.engine.QuantizedWeight;
import nibble.pack.QuantizedLinear;

/**
 * A decoder layer as the output holds it.
 *
 * @param inputNorm fp16 bits [hidden], the scales of q, k and v divided out
 * @param linears all seven
 * @param postAttentionNorm fp16 bits [hidden], the scales of gate and up divided out
 */
public record QuantizedLayer(short[] inputNorm, Map<LlamaLinear, QuantizedLinear> linears, short[] postAttentionNorm) {
    public QuantizedLayer {
        linears = Collections.unmodifiableMap(new EnumMap<>(linears));
    }

    /** The same layer for the engine: what a reader of the written checkpoint gets. */
    public DecoderLayer toDecoderLayer() {
        return new DecoderLayer(
                floats(inputNorm),
                weight(LlamaLinear.Q),
                weight(LlamaLinear.K),
                weight(LlamaLinear.V),
                weight(LlamaLinear.O),
                floats(postAttentionNorm),
                weight(LlamaLinear.GATE),
                weight(LlamaLinear.UP),
                weight(LlamaLinear.DOWN));
    }

    private QuantizedWeight weight(LlamaLinear linear) {
        return new QuantizedWeight(linear(linear));
    }

    /** One of the seven. */
    public QuantizedLinear linear(LlamaLinear linear) {
        QuantizedLinear quantized = linears.get(linear);
        if (quantized == null) {
            throw new IllegalStateException("quantized layer without " + linear.path());
        }
        return quantized;
    }

    private static float[] floats(short[] halves) {
        float[] floats = new float[halves.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = Float.float16ToFloat(halves[i]);
        }
        return floats;
    }
}
