package nibble.checkpoint.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Converts between the two orders of a query or key projection's rows. Rotary embedding turns pairs of a head's
 * features; Meta and GGUF keep a pair's features side by side, Hugging Face keeps the first features of all pairs
 * before the second ones:
 *
 * <pre>
 * interleaved (Meta, GGUF)   a0 b0 a1 b1 a2 b2 a3 b3
 * halves (Hugging Face)      a0 a1 a2 a3 b0 b1 b2 b3      for each head of 8 rows
 * </pre>
 */
public final class HeadRows {
    private HeadRows() {}

    /** Returns the row of the interleaved order that stands at {@code row} of the order by halves. */
    public static long interleaved(long row, int headDim) {
        long head = row / headDim;
        long within = row % headDim;
        int half = headDim / 2;
        return head * headDim + 2 * (within % half) + within / half;
    }

    /** Returns the row of the order by halves that stands at {@code row} of the interleaved order. */
    public static long halves(long row, int headDim) {
        long head = row / headDim;
        long within = row % headDim;
        return head * headDim + within % 2 * (headDim / 2) + within / 2;
    }

    /** Returns values of the order by halves in the interleaved order. */
    public static float[] interleaved(float[] halves, int headDim) {
        float[] result = new float[halves.length];
        for (int i = 0; i < halves.length; i++) {
            result[i] = halves[(int) halves(i, headDim)];
        }
        return result;
    }

    /**
     * Copies rows {@code first} to {@code first + count} of the order by halves from the interleaved order to the heap.
     */
    public static MemorySegment toHalves(
            MemorySegment interleaved, long rowBytes, int headDim, long first, long count) {
        MemorySegment halves = MemorySegment.ofArray(new byte[Math.toIntExact(count * rowBytes)]);
        for (long row = 0; row < count; row++) {
            MemorySegment.copy(
                    interleaved, interleaved(first + row, headDim) * rowBytes, halves, row * rowBytes, rowBytes);
        }
        return halves;
    }

    /** Copies the rows in the order by halves from the interleaved order. */
    public static MemorySegment toHalves(MemorySegment interleaved, long rows, int headDim) {
        long rowBytes = interleaved.byteSize() / rows;
        MemorySegment halves = Arena.ofAuto().allocate(interleaved.byteSize(), 64);
        for (long row = 0; row < rows; row++) {
            MemorySegment.copy(interleaved, interleaved(row, headDim) * rowBytes, halves, row * rowBytes, rowBytes);
        }
        return halves;
    }
}
