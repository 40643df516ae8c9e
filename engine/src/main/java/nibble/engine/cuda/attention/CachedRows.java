package nibble.engine.cuda.attention;

import nibble.engine.cuda.data.CudaCodeMatrix;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.tensor.Matrix;

/**
 * Holds keys or values of a layer as a cache on a card holds them.
 *
 * @param scales address of the scales of 8-bit codes, 0 if there are none: rows are fp16 then
 */
public record CachedRows(long address, long scales, int columns) {
    /**
     * Returns the rows of a matrix of the cache.
     *
     * @throws IllegalArgumentException if the matrix is another backend's, or of single precision
     */
    public static CachedRows of(CudaResources card, Matrix matrix) {
        if (matrix instanceof CudaCodeMatrix codes && codes.owner() == card) {
            return new CachedRows(codes.address(), codes.scales(), codes.columns());
        }
        CudaMatrix halves = CudaMatrix.of(card, matrix, false);
        return new CachedRows(halves.address(), 0, halves.columns());
    }

    public boolean coded() {
        return scales != 0;
    }
}
