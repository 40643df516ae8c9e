package nibble.checkpoint.gguf;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Holds matrices in MXFP4 as Hugging Face checkpoints have them: values and exponents in tensors of their own.
 *
 * <pre>
 * values     for each row and block of 32 columns 16 bytes: byte i has value 2 i in its lower half, then value 2 i + 1
 * exponents  for each row and block a byte e, a factor of 2^(e - 127)
 * </pre>
 *
 * @param columns of each row, a multiple of {@value #ELEMENTS}
 */
public record MxBlocks(MemorySegment values, MemorySegment exponents, int columns) {
    /** Values of a block. */
    public static final int ELEMENTS = 32;

    /** Bytes of a block's values. */
    public static final int BYTES = 16;

    private int perRow() {
        return columns / ELEMENTS;
    }

    /** Returns the bytes that some rows take where they are stored. */
    public long storedBytes(int rows) {
        return (long) rows * perRow() * (BYTES + 1);
    }

    /**
     * Returns some rows as GGUF has them, in memory of their own.
     *
     * @param first of those that are stored
     * @param step from one row to the next of those that are stored
     */
    public GgufBlocks rows(long first, int step, int count) {
        int blockBytes = GgufType.MXFP4.blockBytes();
        MemorySegment data = Arena.ofAuto().allocate(Math.max(1, GgufType.MXFP4.bytes((long) count * columns)), 64);
        byte[] in = new byte[BYTES * perRow()];
        byte[] out = new byte[blockBytes * perRow()];
        for (int row = 0; row < count; row++) {
            long from = (first + (long) row * step) * perRow();
            MemorySegment.copy(values, ValueLayout.JAVA_BYTE, from * BYTES, in, 0, in.length);
            for (int block = 0; block < perRow(); block++) {
                int at = block * blockBytes;
                out[at] = exponents.get(ValueLayout.JAVA_BYTE, from + block);
                pair(in, block * BYTES, out, at + 1);
            }
            MemorySegment.copy(out, 0, data, ValueLayout.JAVA_BYTE, (long) row * out.length, out.length);
        }
        return new GgufBlocks(GgufType.MXFP4, data, count, columns, 0);
    }

    /** GGUF's byte j has values j and j + 16. */
    private static void pair(byte[] in, int from, byte[] out, int to) {
        for (int j = 0; j < BYTES; j++) {
            int shift = 4 * (j % 2);
            int low = in[from + j / 2] >> shift & 15;
            int high = in[from + 8 + j / 2] >> shift & 15;
            out[to + j] = (byte) (low | high << 4);
        }
    }

    /** Decodes some rows into {@code into}, as {@link #rows} has them, and returns that. */
    public MemorySegment floats(long first, int step, int count, MemorySegment into) {
        BlockDecoder.decode(GgufType.MXFP4, rows(first, step, count).data(), into);
        return into;
    }
}
