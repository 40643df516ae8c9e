package nibble.engine.backend;

import nibble.engine.tensor.Matrix;

/**
 * Keeps activations of many batches between their uses: where the backend computes, or, where that has no room for
 * them, on the host. Owns them.
 */
public interface ActivationStore extends AutoCloseable {
    /** Takes a batch over. */
    void add(Matrix batch);

    /**
     * Returns a batch where the backend computes, to be read or changed until {@link #giveBack}; best asked for in
     * order.
     */
    Matrix borrow(int index);

    /** Ends the use of the batch that was borrowed last. */
    void giveBack(int index, boolean changed);

    /**
     * Copies rows of a batch that is not borrowed, in the order of the work of the device that has {@code into}: this
     * one, or another of its kind. Several threads may do so at once, after the backend's work is done.
     *
     * @param into of the extents and the precision of batches
     */
    void read(int index, int first, int rows, Matrix into, int at);

    @Override
    void close();
}
