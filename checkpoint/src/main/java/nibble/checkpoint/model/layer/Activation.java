package nibble.checkpoint.model.layer;

/** Lists the functions of gate and up of an MLP; all but one multiply a function of the gate by up. */
public enum Activation {
    /** {@code x / (1 + exp(-x))} */
    SILU("silu"),

    /**
     * gpt-oss's, of gate and up together: {@code (u + 1) g / (1 + exp(-1.702 g))} with {@code g = min(gate, 7)} and
     * {@code u = max(-7, min(up, 7))}.
     */
    CLAMPED_SWIGLU("silu"),

    /** {@code x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))}: transformers' {@code gelu_pytorch_tanh}. */
    GELU_TANH("gelu_pytorch_tanh");

    private final String configName;

    Activation(String configName) {
        this.configName = configName;
    }

    /** The factor of {@link #CLAMPED_SWIGLU}'s gate in front of the sigmoid. */
    public static final double CLAMPED_FACTOR = 1.702;

    /** The bound of {@link #CLAMPED_SWIGLU}'s gate and up. */
    public static final double CLAMPED_LIMIT = 7;

    /** Returns whether a factor of up is one of the result, so that it can move from one linear to the other. */
    public boolean isLinearInUp() {
        return this != CLAMPED_SWIGLU;
    }

    /** Returns {@code hidden_act} of config.json. */
    public String configName() {
        return configName;
    }
}
