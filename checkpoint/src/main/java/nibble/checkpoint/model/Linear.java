package nibble.checkpoint.model;

import java.util.List;

/**
 * Lists the linear layers that a decoder layer may have, in the order a checkpoint lists them here: {@link #SEVEN} in a
 * Llama, others in their place where queries, keys or values come from a narrow vector.
 */
public enum Linear {
    Q("self_attn.q_proj", LinearInput.QKV),
    /** Gives the vector that {@link #Q_B} reads. */
    Q_A("self_attn.q_a_proj", LinearInput.QKV),
    Q_B("self_attn.q_b_proj", LinearInput.QUERY_LATENT),
    K("self_attn.k_proj", LinearInput.QKV),
    V("self_attn.v_proj", LinearInput.QKV),
    /** Gives the vector that {@link #KV_B} reads, and the part of keys that turns. */
    KV_A("self_attn.kv_a_proj_with_mqa", LinearInput.QKV),
    /** Gives, for each head, the part of its key that does not turn, then its value. */
    KV_B("self_attn.kv_b_proj", LinearInput.KEY_VALUE_LATENT),
    O("self_attn.o_proj", LinearInput.O),
    GATE("mlp.gate_proj", LinearInput.GATE_UP),
    UP("mlp.up_proj", LinearInput.GATE_UP),
    DOWN("mlp.down_proj", LinearInput.DOWN);

    /** Those of a Llama. */
    public static final List<Linear> SEVEN = List.of(Q, K, V, O, GATE, UP, DOWN);

    private final String path;
    private final LinearInput input;

    Linear(String path, LinearInput input) {
        this.path = path;
        this.input = input;
    }

    /** Returns whether it is part of an MLP, or of an expert. */
    public boolean isMlp() {
        return this == GATE || this == UP || this == DOWN;
    }

    /** Returns the input that it reads. */
    public LinearInput input() {
        return input;
    }

    /** Returns the module's path inside its decoder layer, as {@code self_attn.q_proj}. */
    public String path() {
        return path;
    }

    /**
     * Returns the module's full name, as {@code model.layers.17.self_attn.q_proj}; its fp16 weight adds {@code
     * .weight}.
     */
    public String module(int layer) {
        return "model.layers." + layer + "." + path;
    }
}
