package nibble.engine.tensor;

import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.TensorNames;

/**
 * Says what becomes of the head's products, in order.
 *
 * @param bias added to them, [vocabulary]; empty where there is none
 * @param cap c of {@code c tanh(logit / c)} after that; 0 for none
 */
public record LogitRule(float[] bias, float cap) {
    /** Products are logits. */
    public static final LogitRule NONE = capped(0);

    /** Returns a cap alone. */
    public static LogitRule capped(float cap) {
        return new LogitRule(new float[0], cap);
    }

    /** Reads that of a checkpoint's model. */
    public static LogitRule read(Checkpoint checkpoint) {
        float cap = (float) checkpoint.config().multipliers().logitCap();
        return checkpoint.config().architecture().biasesHead(checkpoint.config().json())
                ? new LogitRule(DecoderLayer.vector(checkpoint.tensor(TensorNames.HEAD_BIAS)), cap)
                : capped(cap);
    }

    /** Returns whether products get a bias. */
    public boolean hasBias() {
        return bias.length > 0;
    }
}
