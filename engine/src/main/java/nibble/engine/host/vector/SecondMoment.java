package nibble.engine.host.vector;

import static nibble.engine.host.vector.MicroKernel.DEPTH;
import static nibble.engine.host.vector.MicroKernel.PANEL;

import nibble.engine.backend.Workers;
import nibble.engine.host.vector.PanelKernel.Rows;

/**
 * Computes {@code moment[k, k] += x[t, k]ᵀ x[t, k]}: the part above and on the panels of the diagonal is summed, the
 * rest mirrored. Tokens go by 256 at a time, each a sum of its own, so that rounding grows with the number of such sums
 * and not of tokens.
 */
public final class SecondMoment {
    /** Tokens that are turned at a time: a cache line of what is written, and as many lines of what is read. */
    private static final int TRANSPOSED_TOKENS = 16;

    private SecondMoment() {}

    public static void add(Workers workers, PanelKernel kernel, float[] x, int tokens, int k, float[] moment) {
        int panels = (k + PANEL - 1) / PANEL;
        float[] transposed = new float[k * Math.min(DEPTH, tokens)];
        for (int from = 0; from < tokens; from += DEPTH) {
            int first = from;
            int depth = Math.min(DEPTH, tokens - from);
            workers.forEach(panels, p -> transpose(x, first, depth, k, p * PANEL, transposed));
            // The last panel has most rows: first.
            workers.forEach(panels, p -> {
                int column = (panels - 1 - p) * PANEL;
                addPanel(kernel, x, first, depth, k, column, transposed, Math.min(column + PANEL, k), moment);
            });
        }
        workers.forEach(panels, p -> mirror(p * PANEL, k, moment));
    }

    /** Columns {@code column .. column + 32} of x into rows of [k, depth]. */
    static void transpose(float[] x, int first, int depth, int k, int column, float[] transposed) {
        int end = Math.min(column + PANEL, k);
        for (int from = 0; from < depth; from += TRANSPOSED_TOKENS) {
            int to = Math.min(depth, from + TRANSPOSED_TOKENS);
            for (int c = column; c < end; c++) {
                for (int t = from; t < to; t++) {
                    transposed[c * depth + t] = x[(first + t) * k + c];
                }
            }
        }
    }

    /**
     * {@code moment[r, column …] += transposed[r, t] x[t, column …]} for 32 columns and the first {@code rows} rows.
     */
    static void addPanel(
            PanelKernel kernel,
            float[] x,
            int first,
            int depth,
            int k,
            int column,
            float[] transposed,
            int rows,
            float[] moment) {
        int columns = Math.min(PANEL, k - column);
        float[] packed = new float[depth * PANEL];
        for (int t = 0; t < depth; t++) {
            System.arraycopy(x, (first + t) * k + column, packed, t * PANEL, columns);
        }
        if (columns == PANEL) {
            kernel.multiply(rows, new Rows(transposed, 0, depth), packed, 0, depth, new Rows(moment, column, k), true);
            return;
        }
        float[] tile = new float[rows * PANEL];
        kernel.multiply(rows, new Rows(transposed, 0, depth), packed, 0, depth, new Rows(tile, 0, PANEL), false);
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < columns; c++) {
                moment[r * k + column + c] += tile[r * PANEL + c];
            }
        }
    }

    /** Rows {@code row .. row + 32} left of the diagonal from the columns above it. */
    private static void mirror(int row, int k, float[] moment) {
        for (int r = row; r < Math.min(row + PANEL, k); r++) {
            for (int c = 0; c < r; c++) {
                moment[r * k + c] = moment[c * k + r];
            }
        }
    }
}
