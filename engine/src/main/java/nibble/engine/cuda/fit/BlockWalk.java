package nibble.engine.cuda.fit;

import static nibble.engine.cuda.fit.FitCard.BLOCK;

import nibble.engine.cuda.driver.Floats;
import nibble.engine.cuda.driver.Into;
import nibble.engine.cuda.driver.Precision;

/**
 * Walks over the columns of a piece, block by block. What changes in a block goes into the sums of the columns still to
 * come by products with the rows of a matrix: of the block for the columns nearby, then of a stretch of blocks for all
 * the others, which so are read and written less often.
 */
final class BlockWalk {
    /** Columns of a stretch. */
    static final int STRETCH = 8 * BLOCK;

    /** What is done with a block. */
    @FunctionalInterface
    interface Step {
        /**
         * Changes the codes or scales of a block of columns.
         *
         * @param changes where the changes of the block go, rows of {@link #STRETCH} floats
         */
        void block(int first, int count, long changes);
    }

    private final RowPiece piece;
    private final Precision precision;
    private final long matrix;
    private final long sums;

    /**
     * @param matrix [n, n] fp32
     * @param sums [rows, n] fp32: {@code sums[:, j] += Σ changes[:, i] matrix[i, j]} over the columns i passed
     */
    BlockWalk(RowPiece piece, Precision precision, long matrix, long sums) {
        this.piece = piece;
        this.precision = precision;
        this.matrix = matrix;
        this.sums = sums;
    }

    void forwards(Step step) {
        int n = piece.input.columns;
        for (int start = 0; start < n; start += STRETCH) {
            int end = Math.min(start + STRETCH, n);
            for (int first = start; first < end; first += BLOCK) {
                int count = Math.min(BLOCK, end - first);
                step.block(first, count, changes(start, first));
                add(start, first, count, first + count, end);
            }
            add(start, start, end - start, end, n);
        }
    }

    void backwards(Step step) {
        int n = piece.input.columns;
        for (int start = (n - 1) / STRETCH * STRETCH; start >= 0; start -= STRETCH) {
            int end = Math.min(start + STRETCH, n);
            for (int first = start + (end - 1 - start) / BLOCK * BLOCK; first >= start; first -= BLOCK) {
                int count = Math.min(BLOCK, end - first);
                step.block(first, count, changes(start, first));
                add(start, first, count, start, first);
            }
            add(start, start, end - start, 0, start);
        }
    }

    private long changes(int start, int first) {
        return piece.changes() + Float.BYTES * (long) (first - start);
    }

    /** Adds the changes of {@code count} columns to the sums of columns {@code from … to}. */
    private void add(int start, int first, int count, int from, int to) {
        int n = piece.input.columns;
        piece.card
                .products()
                .single(
                        precision,
                        Into.ADD,
                        piece.rows,
                        to - from,
                        count,
                        new Floats(changes(start, first), STRETCH),
                        new Floats(matrix + Float.BYTES * ((long) first * n + from), n),
                        new Floats(sums + Float.BYTES * (long) from, n));
    }

    /** Walks forwards by a kernel that changes codes or scales and keeps the gradient of the loss by C up to date. */
    static void alongGradient(RowPiece piece, String kernel) {
        FitMoment input = piece.input;
        new BlockWalk(piece, Precision.TENSOR, input.moment, piece.gradient())
                .forwards((first, count, changes) -> piece.card.walk(
                        kernel,
                        piece.rows,
                        piece.gradient(),
                        input.moment,
                        piece.scales(),
                        piece.zeros(),
                        piece.rows,
                        input.columns,
                        piece.groups,
                        first,
                        count,
                        piece.most,
                        piece.codes(),
                        changes,
                        STRETCH));
    }
}
