package nibble.engine.cuda.data;

import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.Matrix;

/** Holds a row-major matrix in device memory: fp16 activations, or fp32. Owns its buffer. */
public final class CudaMatrix implements Matrix {
    private final CudaResources owner;
    private final DeviceMemory.Buffer buffer;
    private final int rows;
    private final int columns;
    private final boolean single;

    public CudaMatrix(CudaResources owner, DeviceMemory.Buffer buffer, int rows, int columns, boolean single) {
        this.owner = owner;
        this.buffer = buffer;
        this.rows = rows;
        this.columns = columns;
        this.single = single;
    }

    /**
     * Returns the matrix as one of this card's.
     *
     * @throws IllegalArgumentException if the matrix is another backend's, or of the other precision
     */
    public static CudaMatrix of(CudaResources owner, Matrix matrix, boolean single) {
        CudaMatrix found = of(owner, matrix);
        if (found.single != single) {
            throw new IllegalArgumentException("matrix [" + found.rows + ", " + found.columns + "] of "
                    + (found.single ? "single precision where activations" : "activations where single precision")
                    + " are expected");
        }
        return found;
    }

    public static CudaMatrix of(CudaResources owner, Matrix matrix) {
        if (matrix instanceof CudaMatrix found && found.owner == owner) {
            return found;
        }
        throw new IllegalArgumentException(
                "matrix of another backend: " + matrix.getClass().getSimpleName());
    }

    public static boolean isOf(CudaResources owner, Matrix matrix) {
        return matrix instanceof CudaMatrix found && found.owner == owner;
    }

    /** Returns the card that has the matrix. */
    public CudaResources owner() {
        return owner;
    }

    public boolean single() {
        return single;
    }

    public int elementBytes() {
        return single ? Float.BYTES : Short.BYTES;
    }

    public long elements() {
        return (long) rows * columns;
    }

    public DeviceMemory.Buffer buffer() {
        return buffer;
    }

    public long address() {
        return buffer.address();
    }

    /** Returns the address of a row. */
    public long address(int row) {
        return buffer.address() + byteOffset(row);
    }

    public long byteOffset(int row) {
        return (long) row * columns * elementBytes();
    }

    @Override
    public int rows() {
        return rows;
    }

    @Override
    public int columns() {
        return columns;
    }

    @Override
    public void close() {
        buffer.close();
    }
}
