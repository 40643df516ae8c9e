package nibble.checkpoint.model;

import nibble.checkpoint.tensor.DType;

/** Names of a checkpoint's tensors that are not weights or biases of a {@link LinearModule}. */
public final class TensorNames {
    /** Token embedding, [vocabulary, hidden]. */
    public static final String EMBEDDING = "model.embed_tokens.weight";

    /** Gain of the norm after the last layer, [hidden]. */
    public static final String FINAL_NORM = "model.norm.weight";

    /** Bias of the norm after the last layer, [hidden]; absent in most models. */
    public static final String FINAL_NORM_BIAS = "model.norm.bias";

    /** Output projection, [vocabulary, hidden]; absent where embeddings are tied. */
    public static final String HEAD = "lm_head.weight";

    /** Bias of the output projection, [vocabulary]; absent in most models. */
    public static final String HEAD_BIAS = "lm_head.bias";

    /** Ends the name of what DeepSeek-V3 adds to the scores of experts where it chooses some, [experts]. */
    public static final String CORRECTION = ".e_score_correction_bias";

    private TensorNames() {}

    /**
     * Returns the type that a tensor has in a model of another type. A correction of experts' scores stays F32, as
     * loaders keep it: in 16 bits, tokens would come to other experts.
     */
    public static DType type(String name, DType others) {
        return name.endsWith(CORRECTION) ? DType.F32 : others;
    }

    /** Returns the beginning of the names of a decoder layer's tensors. */
    public static String layer(int layer) {
        return "model.layers." + layer + ".";
    }

    /** Names the scores that softmax has beside those of keys, [heads]. */
    public static String sinks(int layer) {
        return layer(layer) + "self_attn.sinks";
    }

    /** Names the gain of the norm of queries, {@link ModelConfig#queryNormWidth} values. */
    public static String queryNorm(int layer) {
        return layer(layer) + "self_attn.q_norm.weight";
    }

    /** Names the gain of the norm of keys, {@link ModelConfig#keyNormWidth} values. */
    public static String keyNorm(int layer) {
        return layer(layer) + "self_attn.k_norm.weight";
    }
}
