package nibble.checkpoint.tensor;

import java.lang.foreign.MemorySegment;

/**
 * Holds a named tensor in memory or in a mapped file. Borrows {@code data}: whoever opened its arena keeps it alive.
 *
 * @param name the tensor's name in its checkpoint
 * @param dtype element type
 * @param shape extents, row-major
 * @param data little-endian elements, exactly {@code shape.elements() * dtype.bytes()} bytes, of any alignment
 */
public record TensorView(String name, DType dtype, Shape shape, MemorySegment data) {
    public TensorView {
        long expected = dtype.bytes(shape.elements());
        if (data.byteSize() != expected) {
            throw new IllegalArgumentException("tensor " + name + ": " + data.byteSize() + " bytes given, " + dtype
                    + " " + shape + " takes " + expected);
        }
    }

    public TensorSpec spec() {
        return new TensorSpec(name, dtype, shape);
    }
}
