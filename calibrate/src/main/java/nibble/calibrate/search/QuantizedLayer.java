package nibble.calibrate.search;

import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.model.LayerNorm;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;

/**
 * Holds a decoder layer as the output has it; vectors are fp16 bits.
 *
 * @param layer its number in the model
 * @param inputNorm [hidden], the scales of q, k and v divided out; empty where there is none
 * @param linears all seven
 * @param postAttentionNorm [hidden], the scales of gate and up divided out; empty where there is none
 * @param normOffset what norms lack of their gains
 * @param biases [out] of the linears that have one, v's with its rows' scales divided out
 * @param queryNorm of queries, unchanged; empty where there is none
 * @param keyNorm of keys, unchanged; empty where there is none
 * @param outNorms of what o and down give, unchanged; those that there are
 */
public record QuantizedLayer(
        int layer,
        short[] inputNorm,
        Map<Linear, QuantizedLinear> linears,
        short[] postAttentionNorm,
        float normOffset,
        Map<Linear, short[]> biases,
        short[] queryNorm,
        short[] keyNorm,
        Map<LayerNorm, short[]> outNorms) {
    public QuantizedLayer {
        linears = Collections.unmodifiableMap(new EnumMap<>(linears));
        biases = Map.copyOf(biases);
        outNorms = Map.copyOf(outNorms);
    }

    /** Returns the same layer for the engine: what a reader of the written checkpoint gets. */
    public DecoderLayer toDecoderLayer() {
        Map<Linear, QuantizedWeight> weights = new EnumMap<>(Linear.class);
        linears.forEach((name, linear) -> weights.put(name, new QuantizedWeight(linear)));
        return toDecoderLayer(weights);
    }

    /** This layer's vectors with other linears. */
    QuantizedLayer with(Map<Linear, QuantizedLinear> others) {
        return new QuantizedLayer(
                layer, inputNorm, others, postAttentionNorm, normOffset, biases, queryNorm, keyNorm, outNorms);
    }

    /** This layer's vectors with weights of any kind, for the engine. */
    DecoderLayer toDecoderLayer(Map<Linear, ? extends Weight> weights) {
        Map<Linear, float[]> added = new EnumMap<>(Linear.class);
        biases.forEach((linear, bias) -> added.put(linear, floats(bias, 0)));
        Optional<LayerExtras.HeadNorms> norms = queryNorm.length == 0
                ? Optional.empty()
                : Optional.of(new LayerExtras.HeadNorms(floats(queryNorm, normOffset), floats(keyNorm, normOffset)));
        Map<LayerNorm, float[]> behind = new EnumMap<>(LayerNorm.class);
        outNorms.forEach((norm, gain) -> behind.put(norm, floats(gain, normOffset)));
        return DecoderLayer.of(
                floats(inputNorm, normOffset),
                weights,
                floats(postAttentionNorm, normOffset),
                new LayerExtras(layer, added, norms, behind));
    }

    /** Returns a module, of the linears that it fuses. */
    public QuantizedLinear module(LinearModule module) {
        return QuantizedLinear.ofRows(module.parts().stream().map(this::linear).toList());
    }

    /** Returns one of the seven. */
    public QuantizedLinear linear(Linear linear) {
        QuantizedLinear quantized = linears.get(linear);
        if (quantized == null) {
            throw new IllegalStateException("quantized layer without " + linear.path());
        }
        return quantized;
    }

    static short[] halves(float[] floats) {
        short[] halves = new short[floats.length];
        for (int i = 0; i < halves.length; i++) {
            halves[i] = Float.floatToFloat16(floats[i]);
        }
        return halves;
    }

    private static float[] floats(short[] halves, float offset) {
        float[] floats = new float[halves.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = Float.float16ToFloat(halves[i]) + offset;
        }
        return floats;
    }
}
