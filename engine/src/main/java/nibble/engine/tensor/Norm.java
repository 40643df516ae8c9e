package nibble.engine.tensor;

/**
 * Holds a norm over the width of the residual stream.
 *
 * @param gain [hidden]
 * @param bias [hidden]; empty where there is none
 * @param centered whether a row's mean is subtracted first, as PyTorch's LayerNorm does; else it is an RMSNorm
 */
public record Norm(float[] gain, float[] bias, boolean centered) {
    /** Makes an RMSNorm without a bias. */
    public Norm(float[] gain) {
        this(gain, new float[0], false);
    }

    /** Returns whether it is an RMSNorm without a bias. */
    public boolean isPlain() {
        return !centered && bias.length == 0;
    }
}
