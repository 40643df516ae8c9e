package nibble.pack.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import nibble.convert.HeadRows;
import nibble.convert.TensorView;
import nibble.pack.PackedLinear;

/** The rows of a weight as floats, whatever form it is stored in. May be read by several threads at once. */
interface WeightRows {
    ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    void read(long row, float[] into);

    /** Rows of an F16, BF16 or F32 tensor, a vector being one row. */
    static WeightRows of(TensorView tensor) {
        return (row, into) -> {
            MemorySegment data = tensor.data();
            long first = row * into.length;
            for (int i = 0; i < into.length; i++) {
                into[i] = switch (tensor.dtype()) {
                    case F16 -> Float.float16ToFloat(data.get(SHORT, 2 * (first + i)));
                    case BF16 -> Float.intBitsToFloat(data.get(SHORT, 2 * (first + i)) << 16);
                    case F32 -> data.get(FLOAT, 4 * (first + i));
                    default -> throw new IllegalArgumentException("tensor " + tensor.name() + " is " + tensor.dtype());
                };
            }
        };
    }

    static WeightRows of(PackedLinear linear) {
        return (row, into) -> linear.dequantize((int) row, into, 0);
    }

    /** The same rows with each head's pairs side by side, as GGUF has query and key projections. */
    default WeightRows interleaved(int headDim) {
        return (row, into) -> read(HeadRows.halves(row, headDim), into);
    }
}
