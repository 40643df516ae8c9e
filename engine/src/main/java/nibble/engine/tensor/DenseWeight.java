package nibble.engine.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;

/**
 * Holds an unquantized weight. Borrows the tensor's memory.
 *
 * @param tensor F16, BF16 or F32, [out_features, in_features], each extent at most 2^31 - 1
 */
public record DenseWeight(TensorView tensor) implements Weight {
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    public DenseWeight {
        if (!tensor.dtype().isWeight() || tensor.shape().rank() != 2) {
            throw new IllegalArgumentException("weight " + tensor.name() + ": " + tensor.dtype() + " " + tensor.shape()
                    + " found, a matrix of F16, BF16 or F32 expected");
        }
        Math.toIntExact(tensor.shape().dim(0));
        Math.toIntExact(tensor.shape().dim(1));
    }

    /** Returns a weight of F32 values held on the heap; {@code values} is row-major and is copied. */
    public static DenseWeight of(String name, float[] values, int outFeatures, int inFeatures) {
        MemorySegment data = Arena.ofAuto().allocate(4L * values.length, 64);
        MemorySegment.copy(values, 0, data, FLOAT, 0, values.length);
        return new DenseWeight(new TensorView(name, DType.F32, Shape.of(outFeatures, inFeatures), data));
    }

    /** Returns a weight of F32 values that stay where they are, on the heap. */
    public static DenseWeight onHeap(String name, float[] values, int outFeatures, int inFeatures) {
        return new DenseWeight(
                new TensorView(name, DType.F32, Shape.of(outFeatures, inFeatures), MemorySegment.ofArray(values)));
    }

    @Override
    public int outFeatures() {
        return (int) tensor.shape().dim(0);
    }

    @Override
    public int inFeatures() {
        return (int) tensor.shape().dim(1);
    }

    @Override
    public String name() {
        return tensor.name();
    }
}
