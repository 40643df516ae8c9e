package nibble.checkpoint.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Decodes blocks of quantized elements to floats, to the bit as ggml does: fp16 block scales widened to fp32, products
 * and sums in fp32. {@code d} is a block's scale, {@code m} its minimum.
 */
public final class BlockDecoder {
    /** The sixteen values of the IQ4 types, denser around zero. */
    static final int[] IQ4_VALUES = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

    /** Twice the values of a code of MXFP4: a sign, two bits of exponent, one of fraction. */
    static final int[] E2M1_DOUBLED = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Added, it leaves every number as it is, even a zero's sign. */
    private static final float NO_MINIMUM = -0f;

    /** Blocks decoded at a time. */
    private static final int CHUNK = 64;

    private BlockDecoder() {}

    /** Returns the value of a code of the IQ4 types, before its scale. */
    public static int iq4Value(int code) {
        return IQ4_VALUES[code];
    }

    /**
     * Decodes all elements of {@code blocks} as little-endian floats into {@code into}.
     *
     * @param type one that stores blocks
     * @param blocks whole blocks
     */
    public static void decode(GgufType type, MemorySegment blocks, MemorySegment into) {
        int blockBytes = type.blockBytes();
        int blockElements = type.blockElements();
        long count = blocks.byteSize() / blockBytes;
        byte[] bytes = new byte[CHUNK * blockBytes];
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        float[] values = new float[CHUNK * blockElements];
        for (long first = 0; first < count; first += CHUNK) {
            int now = (int) Math.min(CHUNK, count - first);
            MemorySegment.copy(blocks, ValueLayout.JAVA_BYTE, first * blockBytes, bytes, 0, now * blockBytes);
            for (int i = 0; i < now; i++) {
                block(type, buffer, i * blockBytes, values, i * blockElements);
            }
            MemorySegment.copy(values, 0, into, FLOAT, 4 * first * blockElements, now * blockElements);
        }
    }

    private static void block(GgufType type, ByteBuffer b, int at, float[] y, int to) {
        switch (type) {
            case Q4_0 -> q4(b, at + 2, half(b, at), -8, NO_MINIMUM, y, to);
            case Q4_1 -> q4(b, at + 4, half(b, at), 0, half(b, at + 2), y, to);
            case Q5_0 -> q5(b, at + 2, half(b, at), -16, NO_MINIMUM, y, to);
            case Q5_1 -> q5(b, at + 4, half(b, at), 0, half(b, at + 2), y, to);
            case Q8_0 -> {
                float d = half(b, at);
                for (int j = 0; j < 32; j++) {
                    y[to + j] = b.get(at + 2 + j) * d;
                }
            }
            case IQ4_NL -> iq4(b, at + 2, half(b, at), y, to);
            case IQ4_XS -> iq4xs(b, at, y, to);
            case MXFP4 -> mxfp4(b, at, y, to);
            case Q2_K -> KBlocks.q2(b, at, y, to);
            case Q3_K -> KBlocks.q3(b, at, y, to);
            case Q4_K -> KBlocks.q4(b, at, y, to);
            case Q5_K -> KBlocks.q5(b, at, y, to);
            case Q6_K -> KBlocks.q6(b, at, y, to);
            case F32, F16, BF16 -> throw new IllegalArgumentException(type + " has no blocks");
        }
    }

    static float half(ByteBuffer b, int at) {
        return Float.float16ToFloat(b.getShort(at));
    }

    private static void q4(ByteBuffer b, int at, float d, int offset, float m, float[] y, int to) {
        for (int j = 0; j < 16; j++) {
            int pair = b.get(at + j);
            y[to + j] = ((pair & 15) + offset) * d + m;
            y[to + j + 16] = ((pair >> 4 & 15) + offset) * d + m;
        }
    }

    /** qh, 32 fifth bits, then qs, 16 pairs of low nibbles. */
    private static void q5(ByteBuffer b, int at, float d, int offset, float m, float[] y, int to) {
        int high = b.getInt(at);
        for (int j = 0; j < 16; j++) {
            int pair = b.get(at + 4 + j);
            int first = pair & 15 | (high >>> j & 1) << 4;
            int second = pair >> 4 & 15 | (high >>> j + 16 & 1) << 4;
            y[to + j] = (first + offset) * d + m;
            y[to + j + 16] = (second + offset) * d + m;
        }
    }

    /** Returns half the factor 2^(e - 127) of a block of MXFP4, as ggml has it. */
    public static float halfPowerOfTwo(int e) {
        return Float.intBitsToFloat(e < 2 ? 0x00200000 << e : e - 1 << 23);
    }

    /** Returns twice the value of a code of MXFP4. */
    public static int e2m1Doubled(int code) {
        return E2M1_DOUBLED[code];
    }

    /** e, then qs[16], pairs of codes. */
    private static void mxfp4(ByteBuffer b, int at, float[] y, int to) {
        float d = halfPowerOfTwo(b.get(at) & 255);
        for (int j = 0; j < 16; j++) {
            int pair = b.get(at + 1 + j);
            y[to + j] = d * E2M1_DOUBLED[pair & 15];
            y[to + j + 16] = d * E2M1_DOUBLED[pair >> 4 & 15];
        }
    }

    private static void iq4(ByteBuffer b, int at, float d, float[] y, int to) {
        for (int j = 0; j < 16; j++) {
            int pair = b.get(at + j);
            y[to + j] = d * IQ4_VALUES[pair & 15];
            y[to + j + 16] = d * IQ4_VALUES[pair >> 4 & 15];
        }
    }

    /** d, eight high pairs of scale bits (u16), eight low nibbles of scales, qs[128]. */
    private static void iq4xs(ByteBuffer b, int at, float[] y, int to) {
        float d = half(b, at);
        int high = b.getShort(at + 2) & 0xffff;
        for (int group = 0; group < 8; group++) {
            int low = b.get(at + 4 + group / 2) >> 4 * (group % 2) & 15;
            int scale = low | (high >> 2 * group & 3) << 4;
            iq4(b, at + 8 + 16 * group, d * (scale - 32), y, to + 32 * group);
        }
    }
}
