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

    @Override
    void close();
}
