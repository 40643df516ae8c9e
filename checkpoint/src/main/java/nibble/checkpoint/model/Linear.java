package nibble.checkpoint.model;

/** Lists the seven linear layers of a Llama decoder layer, in the order a checkpoint lists them here. */
public enum Linear {
    Q("self_attn.q_proj", LinearInput.QKV),
    K("self_attn.k_proj", LinearInput.QKV),
    V("self_attn.v_proj", LinearInput.QKV),
    O("self_attn.o_proj", LinearInput.O),
    GATE("mlp.gate_proj", LinearInput.GATE_UP),
    UP("mlp.up_proj", LinearInput.GATE_UP),
    DOWN("mlp.down_proj", LinearInput.DOWN);

    private final String path;
    private final LinearInput input;

    Linear(String path, LinearInput input) {
        this.path = path;
        this.input = input;
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
