package nibble.engine.cuda.data;

import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.Matrix;

/**
 * Holds keys or values on a card as 8-bit codes, [rows, columns], each 128 more than it stands for. Behind them lie
 * fp32 scales, [blocks of 16 rows, heads, 16]: so a block has the scales of a head side by side. Owns the buffer.
 *
 * @param head columns of a head
 */
public record CudaCodeMatrix(CudaResources owner, DeviceMemory.Buffer buffer, int rows, int columns, int head)
        implements Matrix {
    /** What a code is more than it stands for. */
    public static final int ZERO = 128;

    private static final int BLOCK = 16;
    private static final int ALIGNMENT = 256;

    /** Returns the bytes of such a matrix. */
    public static long bytes(int rows, int columns, int head) {
        long scales = (long) Math.ceilDiv(rows, BLOCK) * BLOCK * (columns / head);
        return Math.addExact(codeBytes(rows, columns), Float.BYTES * scales);
    }

    private static long codeBytes(int rows, int columns) {
        return Math.ceilDiv((long) rows * columns, ALIGNMENT) * ALIGNMENT;
    }

    public long address() {
        return buffer.address();
    }

    /** Returns the byte of the buffer that scales begin at. */
    public long scaleOffset() {
        return codeBytes(rows, columns);
    }

    /** Returns the address of the scales. */
    public long scales() {
        return buffer.address() + scaleOffset();
    }

    public int heads() {
        return columns / head;
    }

    /** Returns the number of the scale of a row's head. */
    public int scaleIndex(int row, int ofHead) {
        return (row / BLOCK * heads() + ofHead) * BLOCK + row % BLOCK;
    }

    @Override
    public void close() {
        buffer.close();
    }
}
