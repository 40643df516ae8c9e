package nibble.engine.quantize;

import nibble.engine.tensor.Matrix;

/**
 * Holds statistics of the inputs of a linear over all calibration tokens: {@code C = Σ x xᵀ} and {@code Σ |x|}.
 * Owns its memory.
 *
 * <p>Sums are made in parts, one after the other, and the parts are added in order: so several devices can
 * compute parts at the same time and produce bit-identical results.
 */
public interface InputStatistics extends AutoCloseable {
    /** Returns the features of the input. */
    int columns();

    /** Adds the rows of {@code x} to the part at hand. */
    void add(Matrix x);

    /** Ends the part at hand: it is added to those before it. */
    void endPart();

    /** Returns the rows that were added. */
    long rows();

    /** Returns the mean |x| of each feature. */
    double[] meanAbsolute();

    /**
     * Returns all of it, for another process to go on with.
     *
     * @throws UnsupportedOperationException if it lies on a card
     */
    default SavedMoment save() {
        throw new UnsupportedOperationException("second moments on a card cannot be saved");
    }

    @Override
    void close();
}
