package nibble.engine.backend;

/**
 * Holds numbers that are tuned, where a device computes. Each is {@code start · (1 + change)}, and {@code change} is
 * what steps move, so one rate fits all, whatever their size; or it is the position of a code, and moves as it is
 * ({@link GradientOperations#positions}). Owns its memory.
 */
public interface Parameter extends AutoCloseable {
    int size();

    /** Returns a copy of the numbers as they are now. */
    float[] values();

    /** Returns a copy of the gradient of the numbers, which backward passes sum until the next {@link #move}. */
    float[] gradient();

    /** Adds to the gradient, as a backward pass does. */
    void addGradient(float[] more);

    /**
     * Adds the gradient of the same parameter on another device, in the order of this device's work; what that device
     * has still to do for it was waited for ({@link GradientOperations#await}).
     */
    void addGradientOf(Parameter other);

    /**
     * Takes up the numbers of the same parameter on another device, which has moved them, and forgets the gradient. Of
     * codes it takes the codes alone; Adam's means stay as they are.
     */
    void follow(Parameter leader);

    /** Moves what steps move by a step of Adam along its gradient, and forgets the gradient. */
    void move(AdamStep step);

    /** Returns a copy of what steps have made of it. */
    State state();

    /** Takes up a state, and forgets the gradient. */
    void restore(State state);

    @Override
    void close();

    /**
     * Holds what steps move.
     *
     * @param moved the changes relative to the start, or the positions of codes
     * @param first Adam's mean of slopes
     * @param second Adam's mean of squared slopes
     */
    record State(float[] moved, float[] first, float[] second) {}

    /**
     * Describes one step of Adam on a {@link Parameter} (Kingma and Ba, arXiv 1412.6980): with the slope g of what
     * moves, {@code m = β₁ m + (1 − β₁) g}, {@code v = β₂ v + (1 − β₂) g²},
     * {@code moved −= rate · m / (√(v / correction) + ε)}.
     *
     * @param rate divided by the first moment's correction
     * @param correction of the second moment: {@code 1 − β₂^steps}
     * @param firstDecay β₁
     * @param secondDecay β₂
     * @param epsilon ε
     * @param least what moves stays at or above it
     * @param most and at or below it
     */
    record AdamStep(
            double rate,
            double correction,
            double firstDecay,
            double secondDecay,
            double epsilon,
            float least,
            float most) {}
}
