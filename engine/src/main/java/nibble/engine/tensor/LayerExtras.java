package nibble.engine.tensor;

import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.checkpoint.tensor.TensorSpec;

/**
 * Holds what only some architectures have in a decoder layer beside its two norms and seven linears. Small vectors on
 * the host; a device keeps its own copies.
 *
 * @param layer the layer's number in the whole model, which tells how it attends
 * @param biases [out] of the linears that have one
 * @param headNorms where queries and keys pass a norm before rope
 * @param innerNorms gains of the norms that are neither in front of attention nor in front of the MLP: those that there
 *     are
 * @param vectors of the kinds that there are
 */
public record LayerExtras(
        int layer,
        Map<Linear, float[]> biases,
        Optional<HeadNorms> headNorms,
        Map<LayerNorm, float[]> innerNorms,
        Map<LayerVector, float[]> vectors) {
    private static final Set<LayerNorm> INNER =
            EnumSet.complementOf(EnumSet.of(LayerNorm.ATTENTION_IN, LayerNorm.MLP_IN));

    public static final LayerExtras NONE = new LayerExtras(Map.of(), Optional.empty());

    /**
     * Holds RMSNorm gains of queries and of keys of a layer: one for each value of a head, or of all heads.
     *
     * @param query [head_dim] or [heads * head_dim]
     * @param key [head_dim] or [kv_heads * head_dim]
     */
    public record HeadNorms(float[] query, float[] key) {}

    public LayerExtras {
        biases = Map.copyOf(biases);
        innerNorms = Map.copyOf(innerNorms);
        vectors = Map.copyOf(vectors);
    }

    /** Returns a vector that only some architectures have; empty where the layer has none. */
    public float[] vector(LayerVector kind) {
        return vectors.getOrDefault(kind, new float[0]);
    }

    /** Holds those of a layer that attends as the model's first one does, and whose halves have no norm behind them. */
    public LayerExtras(Map<Linear, float[]> biases, Optional<HeadNorms> headNorms) {
        this(0, biases, headNorms, Map.of(), Map.of());
    }

    /** Returns all that a layer of a model has, with gains of 1 and biases of 0: for layers of random weights. */
    public static LayerExtras neutral(ModelConfig config, int layer) {
        Map<Linear, float[]> biases = new EnumMap<>(Linear.class);
        config.biases().forEach(linear -> biases.put(linear, new float[config.outFeatures(linear)]));
        Map<LayerNorm, float[]> norms = new EnumMap<>(LayerNorm.class);
        for (LayerNorm norm : INNER) {
            config.norm(norm, layer).ifPresent(_ -> norms.put(norm, ones(config.normWidth(norm))));
        }
        return new LayerExtras(
                layer,
                biases,
                config.architecture().headNorm().isStored()
                        ? Optional.of(new HeadNorms(ones(config.queryNormWidth()), ones(config.keyNormWidth())))
                        : withoutGains(config, layer),
                norms,
                vectors(
                        config,
                        layer,
                        spec -> new float[Math.toIntExact(spec.shape().elements())]));
    }

    private static Map<LayerVector, float[]> vectors(
            ModelConfig config, int layer, Function<TensorSpec, float[]> values) {
        Map<LayerVector, float[]> vectors = new EnumMap<>(LayerVector.class);
        for (LayerVector kind : LayerVector.values()) {
            config.vector(kind, layer).ifPresent(spec -> vectors.put(kind, values.apply(spec)));
        }
        return vectors;
    }

    /** Of layers whose queries and keys turn; the order does not matter, as turns keep what norms divide by. */
    private static Optional<HeadNorms> withoutGains(ModelConfig config, int layer) {
        return config.architecture().headNorm() == HeadNorm.WITHOUT_GAIN
                        && config.attention(layer).rope().isPresent()
                ? Optional.of(new HeadNorms(ones(config.headDim()), ones(config.headDim())))
                : Optional.empty();
    }

    private static float[] ones(int length) {
        float[] ones = new float[length];
        java.util.Arrays.fill(ones, 1);
        return ones;
    }

    /** Returns whether there is nothing to compute beside a Llama's layer. */
    public boolean isEmpty() {
        return biases.isEmpty() && headNorms.isEmpty() && innerNorms.isEmpty() && vectors.isEmpty();
    }

    /** Returns whether there is nothing but biases of queries, keys and values, and norms of heads. */
    public boolean concernsHeadsAlone() {
        return innerNorms.isEmpty()
                && vectors.isEmpty()
                && Set.of(Linear.Q, Linear.K, Linear.V).containsAll(biases.keySet());
    }

    /** Of layer {@code layer} of a checkpoint. */
    static LayerExtras read(Checkpoint checkpoint, int layer) {
        ModelConfig config = checkpoint.config();
        Map<Linear, float[]> biases = new EnumMap<>(Linear.class);
        for (Linear linear : config.biases()) {
            config.bias(linear, layer)
                    .ifPresent(bias -> biases.put(linear, DecoderLayer.vector(checkpoint.tensor(bias.name()))));
        }
        Map<LayerNorm, float[]> norms = new EnumMap<>(LayerNorm.class);
        for (LayerNorm norm : INNER) {
            config.norm(norm, layer).ifPresent(name -> norms.put(norm, DecoderLayer.norm(checkpoint, name)));
        }
        return new LayerExtras(
                layer,
                biases,
                config.architecture().headNorm().isStored()
                        ? Optional.of(new HeadNorms(
                                DecoderLayer.norm(checkpoint, TensorNames.queryNorm(layer)),
                                DecoderLayer.norm(checkpoint, TensorNames.keyNorm(layer))))
                        : withoutGains(config, layer),
                norms,
                vectors(config, layer, spec -> DecoderLayer.vector(checkpoint.tensor(spec.name()))));
    }
}
