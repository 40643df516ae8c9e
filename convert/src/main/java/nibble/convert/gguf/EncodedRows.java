package nibble.convert.gguf;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import nibble.checkpoint.gguf.GgufPlan;
import nibble.checkpoint.tensor.Shape;
import nibble.convert.ConversionRun;

/** Gives the bytes of a tensor's rows, one after the other; several threads ask at once. */
interface EncodedRows {
    /** Rows that one thread encodes at a time; their bytes wait in memory for their turn. */
    int TOGETHER = 64;

    /** Encodes rows {@code first} to {@code first + count - 1}. */
    void rows(long first, int count, byte[] into);

    /**
     * Returns the rows of matrices of one shape, one matrix after the other.
     *
     * @param rowsOfEach rows of a matrix
     */
    static EncodedRows stacked(List<EncodedRows> matrices, int rowsOfEach, int rowBytes) {
        return (first, count, into) -> {
            for (int done = 0; done < count; ) {
                int matrix = (int) ((first + done) / rowsOfEach);
                long row = (first + done) % rowsOfEach;
                int rows = (int) Math.min(count - done, rowsOfEach - row);
                byte[] part = new byte[rows * rowBytes];
                matrices.get(matrix).rows(row, rows, part);
                System.arraycopy(part, 0, into, done * rowBytes, part.length);
                done += rows;
            }
        };
    }

    /** Writes a tensor; its rows are encoded by all threads, a little ahead of the one that writes. */
    static void write(
            ConversionRun.Sink sink, GgufPlan.Entry entry, EncodedRows body, ExecutorService workers, int threads) {
        Shape shape = entry.shape();
        long rows = shape.elements() / shape.dim(shape.rank() - 1);
        int rowBytes = Math.toIntExact(entry.type().bytes(shape.dim(shape.rank() - 1)));
        Deque<Future<byte[]>> ahead = new ArrayDeque<>();
        for (long row = 0; row < rows || !ahead.isEmpty(); ) {
            if (row < rows && ahead.size() < 2 * threads) {
                long from = row;
                int count = (int) Math.min(rows - from, TOGETHER);
                ahead.add(workers.submit(() -> {
                    byte[] bytes = new byte[count * rowBytes];
                    body.rows(from, count, bytes);
                    return bytes;
                }));
                row += count;
            } else {
                sink.write(entry.name(), MemorySegment.ofArray(result(ahead.remove())));
            }
        }
    }

    private static byte[] result(Future<byte[]> part) {
        try {
            return part.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException failed) {
                throw failed;
            }
            throw new IllegalStateException(e.getCause());
        }
    }
}
