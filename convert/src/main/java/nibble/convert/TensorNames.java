package nibble.convert;

/** Names of a Llama checkpoint's tensors that are not weights of a {@link LlamaLinear}. */
public final class TensorNames {
    /** Token embedding, [vocabulary, hidden]. */
    public static final String EMBEDDING = "model.embed_tokens.weight";

    /** Gain of the norm after the last layer, [hidden]. */
    public static final String FINAL_NORM = "model.norm.weight";

    /** Output projection, [vocabulary, hidden]; absent where embeddings are tied. */
    public static final String HEAD = "lm_head.weight";

    private TensorNames() {}

    /** Gain of the norm before attention, [hidden]. */
    public static String inputNorm(int layer) {
        return "model.layers." + layer + ".input_layernorm.weight";
    }

    /** Gain of the norm before the MLP, [hidden]. */
    public static String postAttentionNorm(int layer) {
        return "model.layers." + layer + ".post_attention_layernorm.weight";
    }
}
