package nibble.engine.cuda.driver;

/**
 * Names a row-major matrix in device memory, fp32 unless said otherwise, a part of one, or a batch of them.
 *
 * @param address of its first element
 * @param stride elements from a row to the next
 * @param step elements from a matrix of a batch to the next
 * @param transposed whether its transpose is meant
 */
public record Floats(long address, int stride, long step, boolean transposed) {
    public Floats(long address, int stride) {
        this(address, stride, 0, false);
    }

    public Floats(long address, int stride, long step) {
        this(address, stride, step, false);
    }

    /** Returns the same, as its transpose. */
    public Floats turned() {
        return new Floats(address, stride, step, !transposed);
    }

    /** Returns the same from a row and a column on. */
    public Floats from(long row, long column) {
        return new Floats(address + Float.BYTES * (row * stride + column), stride, step, transposed);
    }

    int operation() {
        return transposed ? 1 : 0;
    }
}
