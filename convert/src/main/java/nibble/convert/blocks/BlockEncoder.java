package nibble.convert.blocks;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import nibble.checkpoint.gguf.GgufType;
import nibble.pack.Brain;
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
            case F32, F16, BF16, Q8_0, MXFP4 -> plain(type, rows, b);
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
        FormulaBlocks blocks = new FormulaBlocks(b.array());
        int elements = type.blockElements();
        for (int i = 0; i < row.length / elements; i++) {
            int at = i * type.blockBytes();
            int from = i * elements;
            switch (type) {
                case F32 -> b.putFloat(at, row[from]);
                case F16 -> b.putShort(at, Float.floatToFloat16(row[from]));
                case BF16 -> b.putShort(at, Brain.bits(row[from]));
                case Q4_0 -> blocks.symmetric(row, from, 8, at);
                case Q5_0 -> blocks.symmetric(row, from, 16, at);
                case Q4_1 -> blocks.withMinimum(row, from, 15, at);
                case Q5_1 -> blocks.withMinimum(row, from, 31, at);
                case Q8_0 -> blocks.bytes(row, from, at);
                case MXFP4 -> MxEncoder.encode(row, from, b.array(), at);
                default -> throw new IllegalArgumentException(type + " is no formula");
            }
        }
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
}
