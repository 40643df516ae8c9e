package nibble.checkpoint.model.layer;

/** Lists the places where a decoder layer may have an RMSNorm over the width of the residual stream. */
public enum LayerNorm {
    /** Of the residual stream, in front of q, k and v. */
    ATTENTION_IN("attn_norm"),

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

    /** Returns GGUF's name of its gain, between {@code blk.N.} and {@code .weight}. */
    public String ggufName() {
        return ggufName;
    }
}
