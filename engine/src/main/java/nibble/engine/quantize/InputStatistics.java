package nibble.engine.quantize;

import nibble.engine.tensor.Matrix;

/**
 * What the inputs of a linear looked like over all calibration tokens: {@code C = Σ x xᵀ} and {@code Σ |x|}. Owns its
 * memory.
 *
 * <p>Sums are made in parts, one after the other, and the parts are added in order: so several devices can
 * compute parts at the same time and produce bit-identical results.
 */
public interface InputStatistics extends AutoCloseable {
    /** Features of the input. */
    int columns();

    /** Adds the rows of {@code x} to the part at hand. */
    void add(Matrix x);

    /** Ends the part at hand: it is added to those before it. */
    void endPart();

    /** Rows that were added. */
    long rows();

    /** Mean |x| of each feature. */
    double[] meanAbsolute();

    @Override
    void close();
}
