package nibble.engine.backend;

/**
 * Numbers that are tuned, where a device computes: each is {@code start · (1 + change)}, and {@code change} is what
 * steps move. So one rate fits all, whatever their size. Owns its memory.
 */
public interface Parameter extends AutoCloseable {
    int size();

    /** A copy of the numbers as they are now. */
    float[] values();

    /** A copy of the gradient of the numbers, which backward passes sum until the next {@link #move}. */
    float[] gradient();

    /** Adds to the gradient, as a backward pass does. */
    void addGradient(float[] more);

    /** Moves the changes by a step of Adam along the gradient of the changes, and forgets the gradient. */
    void move(AdamStep step);

    /** A copy of what steps have made of it. */
    State state();

    /** Takes up a state, and forgets the gradient. */
    void restore(State state);

    @Override
    void close();

    /**
     * What steps move.
     *
     * @param change relative to the start
     * @param first Adam's mean of slopes
     * @param second Adam's mean of squared slopes
     */
    record State(float[] change, float[] first, float[] second) {}
}
