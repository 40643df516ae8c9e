package nibble.checkpoint.model;

/** The seven linear layers of a Llama decoder layer, in the order a checkpoint lists them here. */
public enum Linear {
    Q("self_attn.q_proj"),
    K("self_attn.k_proj"),
    V("self_attn.v_proj"),
    O("self_attn.o_proj"),
    GATE("mlp.gate_proj"),
    UP("mlp.up_proj"),
    DOWN("mlp.down_proj");

    private final String path;

    Linear(String path) {
        this.path = path;
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
