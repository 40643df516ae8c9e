package nibble.checkpoint.tensor;

/** Holds what a checkpoint says of a tensor before its data: name, element type, extents. */
public record TensorSpec(String name, DType dtype, Shape shape) {
    /** Returns the bytes of the tensor's data. */
    public long bytes() {
        return dtype.bytes(shape.elements());
    }
}
