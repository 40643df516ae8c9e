package nibble.checkpoint.model.layer;

/** Lists the functions applied to the gate of an MLP before it multiplies the up projection. */
public enum Activation {
    /** {@code x / (1 + exp(-x))} */
    SILU("silu"),

    /** {@code x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))}: transformers' {@code gelu_pytorch_tanh}. */
    GELU_TANH("gelu_pytorch_tanh");

    private final String configName;

    Activation(String configName) {
        this.configName = configName;
    }

    /** Returns {@code hidden_act} of config.json. */
    public String configName() {
        return configName;
    }
}
