package nibble.engine.cuda.gradient;

import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Floats;
import nibble.engine.cuda.driver.Into;
import org.jspecify.annotations.Nullable;

/**
 * Computes the divergence of next-token distributions and its gradient, for some rows at a time; the head is expanded
 * to fp32 a piece of its rows at a time.
 */
final class RowDivergence {
    /** Most bytes of the logits of one model. */
    private static final long LOGIT_BYTES = 256L << 20;
    /** Most bytes of a piece of the head in fp32. */
    private static final long PIECE_BYTES = 256L << 20;

    private final TuneCard card;

    RowDivergence(TuneCard card) {
        this.card = card;
    }

    /** Returns the device memory that so many rows take beside the head. */
    static long bytes(int rows, int vocabulary, int columns) {
        int atATime = rowsAtATime(rows, vocabulary);
        return 2 * DeviceMemory.rounded((long) Float.BYTES * atATime * vocabulary)
                + 2 * DeviceMemory.rounded((long) Float.BYTES * atATime * columns)
                + DeviceMemory.rounded((long) Float.BYTES * piece(vocabulary, columns) * columns);
    }

    private static int rowsAtATime(int rows, int vocabulary) {
        return (int) Math.clamp(LOGIT_BYTES / Float.BYTES / vocabulary, 1, Math.max(1, rows));
    }

    /** Returns how many rows of the head a piece has. */
    private static int piece(int vocabulary, int columns) {
        return (int) Math.clamp(PIECE_BYTES / Float.BYTES / columns, 1, vocabulary);
    }

    double run(
            CudaWeight.Dense head,
            CudaMatrix original,
            CudaMatrix x,
            float factor,
            float cap,
            @Nullable CudaMatrix dx) {
        int vocabulary = head.outFeatures();
        int columns = head.inFeatures();
        int atATime = rowsAtATime(x.rows(), vocabulary);
        int piece = piece(vocabulary, columns);
        double divergence = 0;
        try (DeviceMemory.Buffer first = card.floats((long) atATime * vocabulary, "logits");
                DeviceMemory.Buffer second = card.floats((long) atATime * vocabulary, "logits");
                DeviceMemory.Buffer part = card.floats((long) piece * columns, "a piece of the head");
                DeviceMemory.Buffer states = card.floats((long) atATime * columns, "states");
                DeviceMemory.Buffer others = card.floats((long) atATime * columns, "states");
                DeviceMemory.Buffer sums = card.allocate((long) Double.BYTES * atATime, "divergences")) {
            for (int row = 0; row < x.rows(); row += atATime) {
                int rows = Math.min(atATime, x.rows() - row);
                Floats f = single(original, row, rows, states);
                Floats q = single(x, row, rows, others);
                for (int v = 0; v < vocabulary; v += piece) {
                    int count = Math.min(piece, vocabulary - v);
                    Floats weights = expand(head, v, count, part).turned();
                    Floats firstInto = new Floats(first.address(), vocabulary).from(0, v);
                    Floats secondInto = new Floats(second.address(), vocabulary).from(0, v);
                    card.product(Into.SET, rows, count, columns, f, weights, firstInto);
                    card.product(Into.SET, rows, count, columns, q, weights, secondInto);
                }
                card.rows(
                        "tune_rows.cu",
                        "divergence",
                        rows,
                        first.address(),
                        second.address(),
                        vocabulary,
                        factor,
                        cap,
                        dx == null ? 0 : 1,
                        sums.address());
                for (int v = 0; dx != null && v < vocabulary; v += piece) {
                    int count = Math.min(piece, vocabulary - v);
                    Floats weights =
                            piece == vocabulary ? new Floats(part.address(), columns) : expand(head, v, count, part);
                    Floats from = new Floats(second.address(), vocabulary).from(0, v);
                    Floats to = new Floats(dx.address(row), columns);
                    card.product(v == 0 ? Into.SET : Into.ADD, rows, columns, count, from, weights, to);
                }
                for (double sum : card.card.transfers().doubles(sums, rows)) {
                    divergence += sum;
                }
            }
        }
        return divergence;
    }

    /** Finds rows in fp32, where they lie or in a buffer. */
    private Floats single(CudaMatrix matrix, int row, int rows, DeviceMemory.Buffer into) {
        if (matrix.single()) {
            return new Floats(matrix.address(row), matrix.columns());
        }
        expand(matrix.address(row), (long) rows * matrix.columns(), into);
        return new Floats(into.address(), matrix.columns());
    }

    private Floats expand(CudaWeight.Dense head, int row, int rows, DeviceMemory.Buffer into) {
        long from = head.address() + (long) Short.BYTES * row * head.inFeatures();
        expand(from, (long) rows * head.inFeatures(), into);
        return new Floats(into.address(), head.inFeatures());
    }

    private void expand(long halves, long count, DeviceMemory.Buffer into) {
        card.each("tune_layer.cu", "half_to_single", count, halves, into.address(), count);
    }
}
