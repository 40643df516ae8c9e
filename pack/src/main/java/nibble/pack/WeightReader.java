package nibble.pack;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorView;

/** Reads F16, BF16 and F32 tensors as the numbers they are, and refuses what is not a finite number. */
public final class WeightReader {
    private static final ValueLayout.OfShort SHORT = JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT = JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Of a tensor, on the heap at a time. */
    private static final long PART_BYTES = 4 << 20;

    private WeightReader() {}

    /**
     * Returns all elements as floats, exactly.
     *
     * @param file where the tensor lies, for messages
     * @throws BadCheckpointException if an element is NaN or infinite, or the tensor is not F16, BF16 or F32
     */
    public static float[] floats(TensorView tensor, Path file) {
        long elements = tensor.shape().elements();
        if (elements > Integer.MAX_VALUE - 8) {
            throw new BadCheckpointException(
                    file, "tensor " + tensor.name() + " has " + elements + " elements, more than one array holds");
        }
        float[] values = new float[(int) elements];
        MemorySegment data = tensor.data();
        switch (tensor.dtype()) {
            case F16 -> {
                for (int i = 0; i < values.length; i++) {
                    values[i] = Float.float16ToFloat(data.get(SHORT, 2L * i));
                }
            }
            case BF16 -> {
                for (int i = 0; i < values.length; i++) {
                    values[i] = Float.intBitsToFloat(data.get(SHORT, 2L * i) << 16);
                }
            }
            case F32 -> MemorySegment.copy(data, FLOAT, 0, values, 0, values.length);
            default -> throw notAWeight(tensor, file);
        }
        for (int i = 0; i < values.length; i++) {
            if (!Float.isFinite(values[i])) {
                throw notFinite(tensor, file, i, values[i]);
            }
        }
        return values;
    }

    /**
     * Returns the tensor in fp16, rounded to nearest. An F16 tensor's own data is returned, checked.
     *
     * @param arena owns the result where one is made
     * @throws BadCheckpointException if an element is NaN, infinite, or too large for fp16
     */
    public static MemorySegment half(TensorView tensor, Path file, Arena arena) {
        MemorySegment data = tensor.data();
        long elements = tensor.shape().elements();
        if (tensor.dtype() == DType.F16) {
            for (long i = 0; i < elements; i++) {
                short bits = data.get(SHORT, 2 * i);
                if ((bits & 0x7c00) == 0x7c00) {
                    throw notFinite(tensor, file, i, Float.float16ToFloat(bits));
                }
            }
            return data;
        }
        MemorySegment halves = arena.allocate(Math.multiplyExact(elements, 2L), 64);
        for (long i = 0; i < elements; i++) {
            float value = switch (tensor.dtype()) {
                case BF16 -> Float.intBitsToFloat(data.get(SHORT, 2 * i) << 16);
                case F32 -> data.get(FLOAT, 4 * i);
                default -> throw notAWeight(tensor, file);
            };
            short bits = Float.floatToFloat16(value);
            if ((bits & 0x7c00) == 0x7c00) {
                throw Float.isFinite(value) ? tooLarge(tensor, file, i, value) : notFinite(tensor, file, i, value);
            }
            halves.set(SHORT, 2 * i, bits);
        }
        return halves;
    }

    /**
     * Returns the share of a tensor that fp16 cannot hold: {@code ‖half(W)−W‖² / ‖W‖²}, 0 for an F16 tensor. Numbers
     * that are not finite or beyond fp16's range are left to others.
     */
    public static double lostInHalf(StoredTensor tensor) {
        DType type = tensor.spec().dtype();
        if (type != DType.BF16 && type != DType.F32) {
            return 0;
        }
        double[] sums = new double[2];
        tensor.forEachPart(PART_BYTES, part -> {
            float[] values = new float[Math.toIntExact(part.byteSize() / type.bytes())];
            floats(part, type, 0, values);
            for (float value : values) {
                float half = Float.float16ToFloat(Float.floatToFloat16(value));
                if (Float.isFinite(half)) {
                    sums[0] += (double) (half - value) * (half - value);
                    sums[1] += (double) value * value;
                }
            }
        });
        return sums[1] == 0 ? 0 : sums[0] / sums[1];
    }

    /**
     * Reads elements {@code first} and following of F16, BF16 or F32 data as floats, unchecked.
     *
     * @param into as many as it has room for
     */
    public static void floats(MemorySegment data, DType dtype, long first, float[] into) {
        switch (dtype) {
            case F32 -> MemorySegment.copy(data, FLOAT, 4 * first, into, 0, into.length);
            case F16, BF16 -> {
                short[] bits = new short[into.length];
                MemorySegment.copy(data, SHORT, 2 * first, bits, 0, bits.length);
                if (dtype == DType.F16) {
                    for (int i = 0; i < bits.length; i++) {
                        into[i] = Float.float16ToFloat(bits[i]);
                    }
                } else {
                    for (int i = 0; i < bits.length; i++) {
                        into[i] = Float.intBitsToFloat(bits[i] << 16);
                    }
                }
            }
            default -> throw new IllegalArgumentException("weights are not " + dtype);
        }
    }

    /**
     * Looks at every element of every F16, BF16 and F32 tensor of a checkpoint, scales of quantized linears included.
     *
     * @throws BadCheckpointException naming the first element that is NaN or infinite
     */
    public static void requireFinite(Checkpoint checkpoint) {
        for (String name : checkpoint.names()) {
            requireFinite(checkpoint.tensor(name), checkpoint.fileOf(name));
        }
    }

    /**
     * Looks at every element of an F16, BF16 or F32 tensor; others have nothing to look at.
     *
     * @throws BadCheckpointException naming the first that is NaN or infinite
     */
    public static void requireFinite(TensorView tensor, Path file) {
        if (!tensor.dtype().isWeight()) {
            return;
        }
        MemorySegment data = tensor.data();
        long elements = tensor.shape().elements();
        for (long i = 0; i < elements; i++) {
            float value = switch (tensor.dtype()) {
                case F16 -> Float.float16ToFloat(data.get(SHORT, 2 * i));
                case BF16 -> Float.intBitsToFloat(data.get(SHORT, 2 * i) << 16);
                case F32 -> data.get(FLOAT, 4 * i);
                default -> throw notAWeight(tensor, file);
            };
            if (!Float.isFinite(value)) {
                throw notFinite(tensor, file, i, value);
            }
        }
    }

    private static BadCheckpointException notAWeight(TensorView tensor, Path file) {
        return new BadCheckpointException(
                file, "tensor " + tensor.name() + " is " + tensor.dtype() + "; weights are F16, BF16 or F32");
    }

    private static BadCheckpointException notFinite(TensorView tensor, Path file, long element, float value) {
        return new BadCheckpointException(
                file,
                "tensor " + tensor.name() + " element " + index(tensor.shape(), element) + " is " + value
                        + "; finite weights are needed. The file may be damaged: download it again");
    }

    private static BadCheckpointException tooLarge(TensorView tensor, Path file, long element, float value) {
        return new BadCheckpointException(
                file,
                "tensor " + tensor.name() + " element " + index(tensor.shape(), element) + " is " + value
                        + ", beyond fp16's largest value 65504, and the output keeps this tensor in fp16");
    }

    private static String index(Shape shape, long element) {
        if (shape.rank() == 2) {
            return "[" + element / shape.dim(1) + ", " + element % shape.dim(1) + "]";
        }
        return "[" + element + "]";
    }
}
