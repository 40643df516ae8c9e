package nibble.engine.host.vector;

import static nibble.engine.host.vector.MicroKernel.DEPTH;
import static nibble.engine.host.vector.MicroKernel.PANEL;

import nibble.engine.backend.Workers;
import nibble.engine.host.vector.PanelKernel.Rows;

/**
 * Computes {@code c[m, n] = Σ_k a[m, k] b[n, k]}: a linear layer of many tokens. A task is 32 columns of c, or some
 * rows of them; it unpacks those 32 rows of b, 256 deep at a time, and runs all its rows of a past them.
 *
 * @param a rows of k columns
 * @param b n rows of k columns
 * @param c rows of n columns
 */
public record Gemm(PanelKernel kernel, float[] a, int k, RowSource b, int n, float[] c) {
    /** Rows of c a task has at least where columns alone are too few tasks: unpacking then costs a few percent. */
    private static final int FEWEST_ROWS = 256;

    /** Tasks a worker should have, so that none waits long for the last. */
    private static final int TASKS_PER_WORKER = 4;

    /** Computes the product of the first {@code m} rows of a. */
    public void multiply(Workers workers, int m) {
        int panels = (n + PANEL - 1) / PANEL;
        int wantedSplits = (TASKS_PER_WORKER * workers.threads() + panels - 1) / Math.max(1, panels);
        int splits = workers.threads() == 1 ? 1 : Math.max(1, Math.min(wantedSplits, m / FEWEST_ROWS));
        int rowsPerTask = MicroKernel.roundUp((m + splits - 1) / splits);
        workers.forEach(panels * splits, task -> {
            int row = task % splits * rowsPerTask;
            int rows = Math.min(rowsPerTask, m - row);
            int column = task / splits * PANEL;
            if (rows > 0) {
                tile(row, rows, column, Math.min(PANEL, n - column));
            }
        });
    }

    private void tile(int row, int rows, int column, int columns) {
        float[] panel = new float[Math.min(k, DEPTH) * PANEL];
        boolean whole = columns == PANEL;
        Rows target = whole ? new Rows(c, row * n + column, n) : new Rows(new float[rows * PANEL], 0, PANEL);
        for (int from = 0; from < k; from += DEPTH) {
            int depth = Math.min(DEPTH, k - from);
            b.fill(column, columns, from, depth, panel, 0);
            kernel.multiply(rows, new Rows(a, row * k + from, k), panel, 0, depth, target, from > 0);
        }
        if (!whole) {
            for (int r = 0; r < rows; r++) {
                System.arraycopy(target.values(), r * PANEL, c, (row + r) * n + column, columns);
            }
        }
    }
}
