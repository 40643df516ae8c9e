package nibble.pack;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import nibble.convert.BadCheckpointException;
import nibble.convert.DType;
import nibble.convert.Shape;
import nibble.convert.TensorView;
import nibble.pack.ConversionReport.Underflow;
import org.jspecify.annotations.Nullable;

/** F16, BF16 and F32 tensors into one another, rounded to nearest, with a count of what does not fit. */
final class TypeConversion {
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private TypeConversion() {}

    /**
     * A tensor in another element type.
     *
     * @param loss what was lost below fp16's normal range, if anything was
     */
    record Converted(MemorySegment data, @Nullable Underflow loss) {}

    /**
     * The tensor in the type {@code target}; its own data where it has that type already.
     *
     * @param file where the tensor lies, for messages
     * @param arena owns what is made
     * @throws BadCheckpointException if a number is NaN or infinite, or is beyond the range of {@code target}
     */
    static Converted convert(TensorView tensor, DType target, Path file, Arena arena) {
        if (tensor.dtype() == target) {
            return new Converted(tensor.data(), null);
        }
        long elements = tensor.shape().elements();
        MemorySegment result = arena.allocate(Math.multiplyExact(elements, (long) target.bytes()), 64);
        Tally tally = new Tally(tensor);
        for (long i = 0; i < elements; i++) {
            float value = value(tensor, i);
            if (!Float.isFinite(value)) {
                throw new BadCheckpointException(
                        file, "tensor " + tensor.name() + " element " + index(tensor.shape(), i) + " is " + value
                                + "; finite weights are needed. The file may be damaged: download it again");
            }
            switch (target) {
                case F32 -> result.set(FLOAT, 4 * i, value);
                case F16 -> {
                    short bits = Float.floatToFloat16(value);
                    tally.half(i, value, bits);
                    result.set(Words.SHORT, 2 * i, bits);
                }
                case BF16 -> {
                    short bits = brain(value);
                    tally.range(i, value, (bits & 0x7f80) == 0x7f80);
                    result.set(Words.SHORT, 2 * i, bits);
                }
                case F64, I64, I32, I16, I8, U8, BOOL -> throw new IllegalArgumentException("no weight is of type " + target);
            }
        }
        tally.requireInRange(file, target);
        return new Converted(result, tally.loss());
    }

    private static float value(TensorView tensor, long i) {
        MemorySegment data = tensor.data();
        return switch (tensor.dtype()) {
            case F16 -> Float.float16ToFloat(data.get(Words.SHORT, 2 * i));
            case BF16 -> Float.intBitsToFloat(data.get(Words.SHORT, 2 * i) << 16);
            case F32 -> data.get(FLOAT, 4 * i);
            case F64, I64, I32, I16, I8, U8, BOOL ->
                throw new IllegalArgumentException("tensor " + tensor.name() + " is " + tensor.dtype() + ", not a weight");
        };
    }

    /** The nearest bfloat16, ties to even, of a finite number. */
    static short brain(float value) {
        int bits = Float.floatToRawIntBits(value);
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    private static String index(Shape shape, long element) {
        return shape.rank() == 2
                ? "[" + element / shape.dim(1) + ", " + element % shape.dim(1) + "]"
                : "[" + element + "]";
    }

    /** Counts while a tensor is converted. */
    private static final class Tally {
        private final TensorView tensor;
        private long overflows;
        private long firstOverflow = -1;
        private float largestOverflow;
        private long underflows;
        private long zeros;
        private long firstUnderflow = -1;
        private float largestUnderflow;

        Tally(TensorView tensor) {
            this.tensor = tensor;
        }

        void half(long i, float value, short bits) {
            range(i, value, (bits & 0x7c00) == 0x7c00);
            if (Math.abs(value) < Half.MIN_NORMAL && Float.float16ToFloat(bits) != value) {
                underflows++;
                zeros += (bits & 0x7fff) == 0 ? 1 : 0;
                firstUnderflow = firstUnderflow < 0 ? i : firstUnderflow;
                largestUnderflow = Math.max(largestUnderflow, Math.abs(value));
            }
        }

        void range(long i, float value, boolean infinite) {
            if (infinite) {
                overflows++;
                firstOverflow = firstOverflow < 0 ? i : firstOverflow;
                largestOverflow = Math.max(largestOverflow, Math.abs(value));
            }
        }

        void requireInRange(Path file, DType target) {
            if (overflows > 0) {
                throw new BadCheckpointException(
                        file, "tensor " + tensor.name() + ": " + overflows + " of " + tensor.shape().elements()
                                + " numbers are beyond the range of " + target + ", first at element "
                                + index(tensor.shape(), firstOverflow) + ", largest magnitude " + largestOverflow
                                + "; keep the model in BF16 or F32 (--to safetensors --type BF16)");
            }
        }

        @Nullable Underflow loss() {
            return underflows == 0
                    ? null
                    : new Underflow(
                            tensor.name(), underflows, zeros, index(tensor.shape(), firstUnderflow), largestUnderflow);
        }
    }
}
