package nibble.calibrate.search;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.IntStream;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;
import nibble.pack.Words;

/**
 * Holds a decoder layer as the output has it; arrays of shorts are fp16 bits.
 *
 * @param layer its number in the model
 * @param inputNorm [hidden], the scales of q, k and v divided out; empty where there is none
 * @param linears all that it has
 * @param postAttentionNorm [hidden], the scales of gate and up divided out; empty where there is none
 * @param normOffset what norms lack of their gains
 * @param biases [out] of the linears that have one, v's with its rows' scales divided out
 * @param queryNorm of queries, unchanged; empty where there is none
 * @param keyNorm of keys, unchanged; empty where there is none
 * @param innerNorms the other norms, the scales of linears that read one divided out; those that there are
 * @param vectors that only some architectures have, as the output rounds them; biases of norms divided as their gains
 * @param router what chooses experts, the scales of the norm multiplied into its columns
 */
public record QuantizedLayer(
        int layer,
        short[] inputNorm,
        Map<LayerLinear, QuantizedLinear> linears,
        short[] postAttentionNorm,
        float normOffset,
        Map<LayerLinear, short[]> biases,
        short[] queryNorm,
        short[] keyNorm,
        Map<LayerNorm, short[]> innerNorms,
        Map<LayerVector, float[]> vectors,
        Optional<RouterWeights> router) {
    public QuantizedLayer {
        linears = Collections.unmodifiableMap(new TreeMap<>(linears));
        biases = Map.copyOf(biases);
        innerNorms = Map.copyOf(innerNorms);
        vectors = Map.copyOf(vectors);
    }

    /** Returns the same layer for the engine: what a reader of the written checkpoint gets. */
    public DecoderLayer toDecoderLayer() {
        Map<LayerLinear, QuantizedWeight> weights = new TreeMap<>();
        linears.forEach((name, linear) -> weights.put(name, new QuantizedWeight(linear)));
        return toDecoderLayer(weights);
    }

    /** This layer's vectors with other linears. */
    QuantizedLayer with(Map<LayerLinear, QuantizedLinear> others) {
        return new QuantizedLayer(
                layer,
                inputNorm,
                others,
                postAttentionNorm,
                normOffset,
                biases,
                queryNorm,
                keyNorm,
                innerNorms,
                vectors,
                router);
    }

    /** This layer's vectors with weights of any kind, for the engine. */
    DecoderLayer toDecoderLayer(Map<LayerLinear, ? extends Weight> weights) {
        Map<Linear, float[]> added = new EnumMap<>(Linear.class);
        Map<Expert, Map<Linear, float[]>> ofExperts = new HashMap<>();
        biases.forEach((linear, bias) -> (linear.expert().isPart()
                        ? ofExperts.computeIfAbsent(linear.expert(), _ -> new EnumMap<>(Linear.class))
                        : added)
                .put(linear.linear(), floats(bias, 0)));
        Optional<LayerExtras.HeadNorms> norms = queryNorm.length == 0
                ? Optional.empty()
                : Optional.of(new LayerExtras.HeadNorms(floats(queryNorm, normOffset), floats(keyNorm, normOffset)));
        Map<LayerNorm, float[]> behind = new EnumMap<>(LayerNorm.class);
        innerNorms.forEach((norm, gain) -> behind.put(norm, floats(gain, normOffset)));
        return DecoderLayer.of(
                floats(inputNorm, normOffset),
                of(Expert.NONE, weights),
                floats(postAttentionNorm, normOffset),
                router.isPresent()
                        ? experts(router.get(), weights, ofExperts)
                        : DecoderLayer.mlp(of(Expert.NONE, weights)),
                new LayerExtras(layer, added, norms, behind, vectors));
    }

    private static Map<Linear, Weight> of(Expert expert, Map<LayerLinear, ? extends Weight> weights) {
        Map<Linear, Weight> own = new EnumMap<>(Linear.class);
        weights.forEach((name, weight) -> {
            if (name.expert().equals(expert)) {
                own.put(name.linear(), weight);
            }
        });
        return own;
    }

    private ExpertMlps experts(
            RouterWeights router, Map<LayerLinear, ? extends Weight> weights, Map<Expert, Map<Linear, float[]>> added) {
        int count = router.router().length / router.columns();
        List<Mlp> routed = IntStream.range(0, count)
                .mapToObj(index -> DecoderLayer.mlp(
                        of(new Expert(index), weights), added.getOrDefault(new Expert(index), Map.of())))
                .toList();
        Map<Linear, Weight> shared = of(Expert.SHARED, weights);
        return new ExpertMlps(
                dense("router", router.router(), router.columns()),
                vectors.getOrDefault(LayerVector.ROUTER_BIAS, new float[0]),
                routed,
                shared.isEmpty() ? Optional.empty() : Optional.of(DecoderLayer.mlp(shared)),
                router.sharedGate().length == 0
                        ? Optional.empty()
                        : Optional.of(dense("shared gate", router.sharedGate(), router.columns())));
    }

    private static Weight dense(String name, short[] halves, int columns) {
        MemorySegment data = Arena.ofAuto().allocate(2L * halves.length, 64);
        MemorySegment.copy(halves, 0, data, Words.SHORT, 0, halves.length);
        return new DenseWeight(new TensorView(name, DType.F16, Shape.of(halves.length / columns, columns), data));
    }

    /** Returns a module, of the linears that it fuses. */
    public QuantizedLinear module(LinearModule module) {
        return QuantizedLinear.ofRows(module.parts().stream()
                .map(part -> linear(new LayerLinear(part, module.expert())))
                .toList());
    }

    /** Returns one of the linears. */
    public QuantizedLinear linear(LayerLinear linear) {
        QuantizedLinear quantized = linears.get(linear);
        if (quantized == null) {
            throw new IllegalStateException("quantized layer without " + linear);
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
