package nibble.convert.blocks;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import nibble.checkpoint.gguf.GgufType;
import org.jspecify.annotations.Nullable;

/**
 * Rounds rows of weights to blocks of a GGUF type. The types of 32 elements give the bytes that ggml's own reference
 * gives; the K types, and with importance those of 32 elements but Q8_0, search scales by weighted error as ggml does,
 * by code of our own.
 */
public final class BlockEncoder {
    private BlockEncoder() {}

    /** Does what {@link #encode(GgufType, float[], float[], byte[])} does, all elements as important as their size. */
    public static void encode(GgufType type, float[] row, byte[] out) {
        encode(type, row, null, out);
    }

    /**
     * Encodes rows, one after the other, into {@code out}, from its start.
     *
     * @param rows finite weights; each row a whole number of blocks
     * @param importance a positive number for each column of a row; none where it is unknown. Plain numbers and Q8_0 do
     *     without
     */
    public static void encode(GgufType type, float[] rows, float @Nullable [] importance, byte[] out) {
        ByteBuffer b = ByteBuffer.wrap(out).order(ByteOrder.LITTLE_ENDIAN);
        int elements = type.blockElements();
        int blocks = rows.length / elements;
        // A batch of whole rows where the search looks at rows, else of as many blocks as caches hold.
        int batch = Math.max(1, Groups.BATCH_ELEMENTS / elements);
        switch (type) {
            case Q2_K, Q4_K, Q5_K ->
                inBatches(
                        blocks,
                        batch,
                        (i, count) -> MinimumKBlocks.encode(
                                type, rows, i * elements, count, importance, b, i * type.blockBytes()));
            case Q3_K, Q6_K ->
                inBatches(
                        blocks,
                        batch,
                        (i, count) -> SymmetricKBlocks.encode(
                                type, rows, i * elements, count, importance, b, i * type.blockBytes()));
            case Q4_0, Q4_1, Q5_0, Q5_1 -> {
                if (importance == null) {
                    plain(type, rows, b);
                } else {
                    inBatches(
                            blocks,
                            importance.length / elements,
                            (i, count) -> WeightedBlocks.encode(
                                    type, rows, i * elements, count, importance, b, i * type.blockBytes()));
                }
            }
            case F32, F16, BF16, Q8_0 -> plain(type, rows, b);
            case IQ4_NL, IQ4_XS -> throw new IllegalArgumentException(type + " is read, not written");
        }
    }

    private interface Batch {
        public void encode(int firstBlock, int count);
    }

    private static void inBatches(int blocks, int most, Batch batch) {
        for (int i = 0; i < blocks; i += most) {
            batch.encode(i, Math.min(most, blocks - i));
        }
    }

    /** What is a formula, block by block. */
    private static void plain(GgufType type, float[] row, ByteBuffer b) {
        int elements = type.blockElements();
        for (int i = 0; i < row.length / elements; i++) {
            int at = i * type.blockBytes();
            int from = i * elements;
            switch (type) {
                case F32 -> b.putFloat(at, row[from]);
                case F16 -> b.putShort(at, Float.floatToFloat16(row[from]));
                case BF16 -> {
                    int bits = Float.floatToRawIntBits(row[from]);
                    b.putShort(at, (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16));
                }
                case Q4_0 -> symmetric(row, from, 8, b, at);
                case Q5_0 -> symmetric(row, from, 16, b, at);
                case Q4_1 -> withMinimum(row, from, 15, b, at);
                case Q5_1 -> withMinimum(row, from, 31, b, at);
                case Q8_0 -> eightBits(row, from, b, at);
                default -> throw new IllegalArgumentException(type + " is no formula");
            }
        }
    }

    /** The element of largest magnitude becomes -half; codes from 0, half is the weight 0. */
    private static void symmetric(float[] row, int from, int half, ByteBuffer b, int at) {
        float largest = 0;
        for (int i = from; i < from + 32; i++) {
            if (Math.abs(row[i]) > Math.abs(largest)) {
                largest = row[i];
            }
        }
        float d = largest / -half;
        float inverse = d == 0 ? 0 : 1 / d;
        b.putShort(at, Float.floatToFloat16(d));
        int[] codes = new int[32];
        for (int i = 0; i < 32; i++) {
            codes[i] = Math.min(2 * half - 1, (int) (row[from + i] * inverse + (half + 0.5f)));
        }
        put(codes, half == 16, b, at + 2);
    }

    private static void withMinimum(float[] row, int from, int most, ByteBuffer b, int at) {
        float low = Float.POSITIVE_INFINITY;
        float high = Float.NEGATIVE_INFINITY;
        for (int i = from; i < from + 32; i++) {
            low = Math.min(low, row[i]);
            high = Math.max(high, row[i]);
        }
        float d = (high - low) / most;
        float inverse = d == 0 ? 0 : 1 / d;
        b.putShort(at, Float.floatToFloat16(d));
        b.putShort(at + 2, Float.floatToFloat16(low));
        int[] codes = new int[32];
        for (int i = 0; i < 32; i++) {
            codes[i] = Math.min(most, (int) ((row[from + i] - low) * inverse + 0.5f));
        }
        put(codes, most == 31, b, at + 4);
    }

    /** Pairs of low nibbles, before them 32 fifth bits where there are any. */
    static void put(int[] codes, boolean fifthBits, ByteBuffer b, int at) {
        int nibbles = at;
        if (fifthBits) {
            int high = 0;
            for (int i = 0; i < 32; i++) {
                high |= (codes[i] >> 4) << i;
            }
            b.putInt(at, high);
            nibbles += 4;
        }
        for (int i = 0; i < 16; i++) {
            b.put(nibbles + i, (byte) (codes[i] & 15 | (codes[i + 16] & 15) << 4));
        }
    }

    private static void eightBits(float[] row, int from, ByteBuffer b, int at) {
        float largest = 0;
        for (int i = from; i < from + 32; i++) {
            largest = Math.max(largest, Math.abs(row[i]));
        }
        float d = largest / 127;
        float inverse = d == 0 ? 0 : 1 / d;
        b.putShort(at, Float.floatToFloat16(d));
        for (int i = 0; i < 32; i++) {
            float x = row[from + i] * inverse;
            // C's roundf: halves away from zero.
            b.put(at + 2 + i, (byte) (int) Math.copySign(Math.floor(Math.abs(x) + 0.5), x));
        }
    }
}
