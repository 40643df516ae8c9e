package nibble.engine.backend;

import nibble.engine.tensor.Matrix;

/**
 * Makes matrices where a device computes, fills them and reads them back. Matrices are row-major [tokens, features];
 * one belongs to the device that made it.
 *
 * <p>Activations have the precision that the device computes layers in: fp32 on the CPU, fp16 with fp32 sums on CUDA.
 * Sums over many tokens, and what is multiplied with them, are {@linkplain #allocateSingle single} precision
 * everywhere.
 */
public interface Matrices {
    /** Allocates activations, all zero. */
    Matrix allocate(int rows, int columns);

    /** Uploads activations with these row-major values, rounded to the backend's precision. */
    Matrix upload(float[] values, int rows, int columns);

    /** Returns an fp32 matrix of zeros. */
    Matrix allocateSingle(int rows, int columns);

    /** Returns an fp32 copy of row-major values. */
    Matrix uploadSingle(float[] values, int rows, int columns);

    /** Returns a copy of all values, row-major. */
    float[] download(Matrix matrix);

    /** Downloads rows {@code from .. from + count}, row-major. */
    float[] download(Matrix matrix, int from, int count);

    /** Copies rows {@code from .. from + count} of {@code source} into rows {@code firstRow ..} of {@code target}. */
    void copyRows(Matrix source, int from, int count, Matrix target, int firstRow);
}
