package nibble.convert;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.convert.ConversionReport.Underflow;
import nibble.pack.Brain;
import nibble.pack.Half;
import nibble.pack.WeightReader;
import nibble.pack.layout.AwqLayout;
import org.jspecify.annotations.Nullable;

/** F16, BF16 and F32 tensors into one another, rounded to nearest, with a count of what does not fit. */
final class TypeConversion {
    private final TensorSpec tensor;
    private final DType target;
    private final Path file;
    private final Tally tally;
    private long done;

    /**
     * The conversion of one tensor, whose parts come in order.
     *
     * @param file where the tensor lies, for messages
     */
    TypeConversion(TensorSpec tensor, DType target, Path file) {
        this.tensor = tensor;
        this.target = target;
        this.file = file;
        this.tally = new Tally(tensor);
    }

    /**
     * The next elements in the target type, on the heap; {@code part} itself where it has that type already.
     *
     * @throws BadCheckpointException if a number is NaN or infinite
     */
    MemorySegment convert(MemorySegment part) {
        if (tensor.dtype() == target) {
            return part;
        }
        float[] values =
                new float[Math.toIntExact(part.byteSize() / tensor.dtype().bytes())];
        WeightReader.floats(part, tensor.dtype(), 0, values);
        for (int i = 0; i < values.length; i++) {
            if (!Float.isFinite(values[i])) {
                throw new BadCheckpointException(
                        file,
                        "tensor " + tensor.name() + " element " + index(tensor.shape(), done + i) + " is " + values[i]
                                + "; finite weights are needed. The file may be damaged: download it again");
            }
        }
        MemorySegment result = switch (target) {
            case F32 -> MemorySegment.ofArray(values);
            case F16 -> halves(values);
            case BF16 -> brains(values);
            default -> throw new IllegalArgumentException("no weight is of type " + target);
        };
        done += values.length;
        return result;
    }

    private MemorySegment halves(float[] values) {
        short[] halves = new short[values.length];
        for (int i = 0; i < values.length; i++) {
            halves[i] = Float.floatToFloat16(values[i]);
        }
        for (int i = 0; i < values.length; i++) {
            tally.half(done + i, values[i], halves[i]);
        }
        return AwqLayout.littleEndian(halves);
    }

    private MemorySegment brains(float[] values) {
        short[] brains = new short[values.length];
        for (int i = 0; i < values.length; i++) {
            brains[i] = Brain.bits(values[i]);
            tally.range(done + i, values[i], (brains[i] & 0x7f80) == 0x7f80);
        }
        return AwqLayout.littleEndian(brains);
    }

    /**
     * Ends the tensor.
     *
     * @return what was lost below fp16's normal range, if anything was
     * @throws BadCheckpointException if a number is beyond the range of the target
     */
    @Nullable
    Underflow finish() {
        tally.requireInRange(file, target);
        return tally.loss();
    }

    private static String index(Shape shape, long element) {
        return shape.rank() == 2
                ? "[" + element / shape.dim(1) + ", " + element % shape.dim(1) + "]"
                : "[" + element + "]";
    }

    /** Counts while a tensor is converted. */
    private static final class Tally {
        private final TensorSpec tensor;
        private long overflows;
        private long firstOverflow = -1;
        private float largestOverflow;
        private long underflows;
        private long zeros;
        private long firstUnderflow = -1;
        private float largestUnderflow;

        Tally(TensorSpec tensor) {
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
                        file,
                        "tensor " + tensor.name() + ": " + overflows + " of "
                                + tensor.shape().elements()
                                + " numbers are beyond the range of " + target + ", first at element "
                                + index(tensor.shape(), firstOverflow) + ", largest magnitude " + largestOverflow
                                + "; keep the model in BF16 or F32 (--format safetensors --type BF16)");
            }
        }

        @Nullable
        Underflow loss() {
            return underflows == 0
                    ? null
                    : new Underflow(
                            tensor.name(), underflows, zeros, index(tensor.shape(), firstUnderflow), largestUnderflow);
        }
    }
}
