package nibble.engine.selftest;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.StoredWeight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.GptqLayout;
import nibble.pack.layout.StoredCodes;

/** Random operands of a seed. All values are exact in fp16, so that no backend rounds its inputs. */
final class Operands {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Random random;

    Operands(long seed) {
        this.random = new Random(seed);
    }

    Random random() {
        return random;
    }

    /** Normally distributed. */
    float[] values(int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = Float.float16ToFloat(Float.floatToFloat16((float) random.nextGaussian()));
        }
        return values;
    }

    float[] norm(int n) {
        float[] values = values(n);
        for (int i = 0; i < n; i++) {
            values[i] = 1 + values[i] / 8;
        }
        return values;
    }

    /** Of size 1/sqrt(in), in the given type; bf16's 8 bits of mantissa are fewer than fp16's. */
    DenseWeight dense(DType type, int out, int in) {
        // An odd address, as tensors of a file may have.
        MemorySegment data =
                Arena.ofAuto().allocate((long) out * in * type.bytes() + 1).asSlice(1);
        double scale = 1 / Math.sqrt(in);
        for (int i = 0; i < out * in; i++) {
            // Above fp16's subnormals, so that the bf16 values are exact in fp16.
            float value = (float) ((random.nextBoolean() ? 1 : -1) * (0.05 + Math.abs(random.nextGaussian())) * scale);
            short half = Float.floatToFloat16(value);
            switch (type) {
                case F32 -> data.set(FLOAT, 4L * i, Float.float16ToFloat(half));
                case F16 -> data.set(SHORT, 2L * i, half);
                case BF16 -> data.set(SHORT, 2L * i, (short) (Float.floatToIntBits(value) >> 16));
                default -> throw new IllegalArgumentException(type + " is no type of weights");
            }
        }
        return new DenseWeight(new TensorView(type + " [" + out + ", " + in + "]", type, Shape.of(out, in), data));
    }

    /**
     * Random blocks as in a GGUF file, with scales of a usual size.
     *
     * @param headDim rows of a head whose rows are interleaved, or 0
     */
    BlockWeight blocks(GgufType type, int out, int in, int headDim) {
        int[] scales = switch (type) {
            case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
            case Q2_K -> new int[] {80, 82};
            case Q3_K -> new int[] {108};
            case Q6_K -> new int[] {208};
            default -> new int[] {0};
        };
        byte[] bytes = new byte[Math.toIntExact(type.bytes((long) out * in))];
        random.nextBytes(bytes);
        MemorySegment data = Arena.ofAuto().allocate(bytes.length + 1).asSlice(1);
        MemorySegment.copy(bytes, 0, data, ValueLayout.JAVA_BYTE, 0, bytes.length);
        for (int at = 0; at < bytes.length; at += type.blockBytes()) {
            if (type == GgufType.MXFP4) {
                // A power of two from 2^-11 to 2^-7.
                data.set(ValueLayout.JAVA_BYTE, at, (byte) (116 + random.nextInt(5)));
                continue;
            }
            for (int scale : scales) {
                data.set(SHORT, at + scale, Float.floatToFloat16((random.nextFloat() - 0.3f) / 64));
            }
        }
        return new BlockWeight(type + " [" + out + ", " + in + "]", new GgufBlocks(type, data, out, in, headDim));
    }

    /** As an AWQ checkpoint holds it. */
    AwqWeight awq(int out, int in, int groupSize) {
        QuantizedLinear linear = quantized(out, in, groupSize).linear();
        AwqLayout.AwqTensors packed = AwqLayout.pack(linear);
        AwqLayout.AwqTensors tensors =
                new AwqLayout.AwqTensors(offHeap(packed.qweight()), offHeap(packed.qzeros()), offHeap(packed.scales()));
        return new AwqWeight(new AwqLayout.AwqLinear(
                "awq [" + out + ", " + in + "]", out, in, new QuantizationSpec(4, groupSize), tensors));
    }

    /** As a compressed-tensors checkpoint holds it, or a GPTQ checkpoint of the first version. */
    StoredWeight stored(int out, int in, int groupSize, boolean byRows) {
        return stored(out, in, groupSize, byRows, 4);
    }

    StoredWeight stored(int out, int in, int groupSize, boolean byRows, int bits) {
        QuantizedLinear linear = quantized(out, in, groupSize, bits).linear();
        QuantizationSpec spec = new QuantizationSpec(bits, groupSize);
        String name = bits + " bits, " + (byRows ? "by rows [" : "by inputs [") + out + ", " + in + "]";
        if (byRows) {
            // The codes of one are the bytes of the other; no zeros stands for the middle everywhere; some have them.
            if (out % 16 == 0) {
                Arrays.fill(linear.zeros(), (byte) spec.middle());
            }
            MemorySegment codes = offHeap(MemorySegment.ofArray(linear.codes()));
            MemorySegment scales = offHeap(MemorySegment.ofArray(linear.scales()));
            MemorySegment zeros = out % 16 == 0 ? MemorySegment.ofArray(new byte[0]) : offHeap(zerosByRows(linear));
            return new StoredWeight(new StoredCodes(name, out, in, spec, true, codes, zeros, scales, false));
        }
        MemorySegment[] packed = GptqLayout.pack(linear, true);
        return new StoredWeight(new StoredCodes(
                name, out, in, spec, false, offHeap(packed[0]), offHeap(packed[1]), offHeap(packed[2]), true));
    }

    /** Rows to a word: eight, or four of 8 bits, [out / 8, groups]. */
    private static MemorySegment zerosByRows(QuantizedLinear linear) {
        int groups = linear.zeros().length / linear.outFeatures();
        int ofByte = 8 / linear.bits();
        byte[] packed = new byte[linear.outFeatures() * groups / ofByte];
        for (int row = 0; row < linear.outFeatures(); row++) {
            for (int g = 0; g < groups; g++) {
                int at = 4 * (row / (4 * ofByte) * groups + g) + row % (4 * ofByte) / ofByte;
                packed[at] |= (byte) (linear.zeros()[row * groups + g] << 4 * (row % ofByte));
            }
        }
        return MemorySegment.ofArray(packed);
    }

    private static MemorySegment offHeap(MemorySegment heap) {
        return Arena.ofAuto().allocate(heap.byteSize(), 1).copyFrom(heap);
    }

    QuantizedWeight quantized(int out, int in, int groupSize) {
        return quantized(out, in, groupSize, 4);
    }

    /** Weights of 8 bits are as large as those of 4. */
    QuantizedWeight quantized(int out, int in, int groupSize, int bits) {
        QuantizationSpec spec = new QuantizationSpec(bits, groupSize);
        byte[] codes = new byte[out * in * bits / 8];
        random.nextBytes(codes);
        byte[] zeros = new byte[out * spec.groups(in)];
        short[] scales = new short[zeros.length];
        for (int i = 0; i < zeros.length; i++) {
            zeros[i] = (byte) random.nextInt(1 << bits);
            scales[i] = Float.floatToFloat16((0.01f + random.nextFloat()) / (1 << bits - 1));
        }
        return new QuantizedWeight(new QuantizedLinear(out, in, spec, codes, zeros, scales));
    }
}
