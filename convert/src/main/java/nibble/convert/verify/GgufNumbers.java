package nibble.convert.verify;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.function.Consumer;
import nibble.checkpoint.gguf.GgufFile;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.source.Finding;

/**
 * Whether the numbers of a GGUF file are finite, as llama.cpp asks when it checks tensors: plain ones, and the scales
 * of blocks. Other bits of a block are right whatever they are, and a scale may be negative: llama.cpp writes such
 * itself.
 */
final class GgufNumbers {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble DOUBLE =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** The exponent of an MXFP4 block that stands for no number. */
    private static final int NO_EXPONENT = 0xff;

    private GgufNumbers() {}

    static void check(GgufFile file, Consumer<Finding> findings) {
        for (GgufFile.Tensor tensor : file.tensors().values()) {
            int[] places = places(tensor.type());
            if (places.length > 0) {
                tensor(file, tensor, places, findings);
            }
        }
    }

    private static void tensor(GgufFile file, GgufFile.Tensor tensor, int[] places, Consumer<Finding> findings) {
        MemorySegment data = tensor.data();
        boolean plain = tensor.type().isPlain();
        int step = tensor.type().blockBytes();
        long blocks = data.byteSize() / step;
        boolean zero = blocks > 0 && tensor.type() != GgufType.MXFP4;
        for (long block = 0; block < blocks; block++) {
            for (int place : places) {
                double value = number(tensor.type(), data, block * step + place);
                zero &= value == 0;
                if (!Double.isFinite(value)) {
                    findings.accept(Finding.error(
                            plain ? "numbers" : "scales",
                            file.path() + ": tensor " + tensor.name() + (plain ? " element " : " block ") + block
                                    + (plain ? " is " : " has a scale of ") + value
                                    + "; get the file again or convert again"));
                    return;
                }
            }
        }
        if (zero && tensor.shape().rank() > 1) {
            findings.accept(Finding.warning(
                    plain ? "numbers" : "scales",
                    file.path() + ": tensor " + tensor.name() + " is 0 throughout; check that the original is"));
        }
    }

    private static double number(GgufType type, MemorySegment data, long at) {
        return switch (type) {
            case F32, Q8_K -> data.get(FLOAT, at);
            case F64 -> data.get(DOUBLE, at);
            case BF16 -> Float.intBitsToFloat(data.get(SHORT, at) << 16);
            case IQ1_M -> Float.float16ToFloat(scattered(data, at));
            case MXFP4 -> (data.get(ValueLayout.JAVA_BYTE, at) & 0xff) == NO_EXPONENT ? Double.NaN : 1;
            default -> Float.float16ToFloat(data.get(SHORT, at));
        };
    }

    /** The scale of an IQ1_M block: the upper four bits of each of four 16-bit numbers, the first one's lowest. */
    private static short scattered(MemorySegment data, long at) {
        int bits = 0;
        for (int i = 0; i < 4; i++) {
            bits |= (data.get(SHORT, at + 2 * i) >> 12 & 0xf) << 4 * i;
        }
        return (short) bits;
    }

    /**
     * Where in a block its scale and minimum lie; of plain types the number itself; nothing where any bits are right.
     */
    private static int[] places(GgufType type) {
        return switch (type) {
            case F32, F16, BF16, F64, Q4_0, Q5_0, Q8_0, IQ4_NL, IQ4_XS, Q1_0, Q2_0, Q8_K, MXFP4 -> new int[] {0};
            case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
            case Q2_K -> new int[] {80, 82};
            case Q3_K -> new int[] {108};
            case Q6_K -> new int[] {208};
            case IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ3_S, IQ2_S -> new int[] {0};
            case IQ1_M -> new int[] {48};
            case TQ1_0 -> new int[] {52};
            case TQ2_0 -> new int[] {64};
            case Q8_1, I8, I16, I32, I64, NVFP4 -> new int[] {};
        };
    }
}
