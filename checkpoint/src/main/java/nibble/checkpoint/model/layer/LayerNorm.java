package nibble.checkpoint.model.layer;

/**
 * Lists the places where a decoder layer may have a norm: over the width of the residual stream, or over that of the
 * vectors of {@link LatentAttention}.
 */
public enum LayerNorm {
    /** Of the residual stream, in front of q, k and v. */
    ATTENTION_IN("attn_norm"),

    /** Of the vector that queries come from. */
    QUERY_LATENT("attn_q_a_norm"),

    /** Of the vector that keys and values come from. */
    KEY_VALUE_LATENT("attn_kv_a_norm"),

    /** Of what o gives, before it is added to the residual stream. */
    ATTENTION_OUT("post_attention_norm"),

    /** Of the residual stream, in front of gate and up. */
    MLP_IN("ffn_norm"),

    /** Of what down gives, before it is added to the residual stream. */
    MLP_OUT("post_ffw_norm");

    private final String ggufName;

    LayerNorm(String ggufName) {
        this.ggufName = ggufName;
    }

    /** Returns whether it is over the width of the residual stream. */
    public boolean isOfStream() {
        return this != QUERY_LATENT && this != KEY_VALUE_LATENT;
    }

    /** Returns GGUF's name of its gain, between {@code blk.N.} and {@code .weight}. */
    public String ggufName() {
        return ggufName;
    }
}
