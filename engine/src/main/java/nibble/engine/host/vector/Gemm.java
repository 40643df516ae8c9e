package nibble.engine.host.vector;

import static nibble.engine.host.vector.MicroKernel.DEPTH;
import static nibble.engine.host.vector.MicroKernel.PANEL;

import nibble.engine.backend.Workers;

/**
 * Computes {@code c[m, n] = Σ_k a[m, k] b[n, k]}: a linear layer of many tokens. A task is 32 columns of c, or some
 * rows of them; it unpacks those 32 rows of b, 256 deep at a time, and runs all its rows of a past them.
 */
public final class Gemm {
    /** Rows of c a task has at least where columns alone are too few tasks: unpacking then costs a few percent. */
    private static final int FEWEST_ROWS = 256;

    /** Tasks a worker should have, so that none waits long for the last. */
    private static final int TASKS_PER_WORKER = 4;

    private Gemm() {}

    /**
     * Computes the product.
     *
     * @param b n rows of k columns
     */
    public static void multiply(Workers workers, float[] a, int m, int k, RowSource b, int n, float[] c) {
        int panels = (n + PANEL - 1) / PANEL;
        int wantedSplits = (TASKS_PER_WORKER * workers.threads() + panels - 1) / Math.max(1, panels);
        int splits = workers.threads() == 1 ? 1 : Math.max(1, Math.min(wantedSplits, m / FEWEST_ROWS));
        int rowsPerTask = MicroKernel.roundUp((m + splits - 1) / splits);
        workers.forEach(panels * splits, task -> {
            int row = task % splits * rowsPerTask;
            int rows = Math.min(rowsPerTask, m - row);
            int column = task / splits * PANEL;
            if (rows > 0) {
                tile(a, row, rows, k, b, column, Math.min(PANEL, n - column), c, n);
            }
        });
    }

    private static void tile(
            float[] a, int row, int rows, int k, RowSource b, int column, int columns, float[] c, int n) {
        float[] panel = new float[Math.min(k, DEPTH) * PANEL];
        float[] scratch = new float[Math.min(k, DEPTH)];
        boolean whole = columns == PANEL;
        float[] target = whole ? c : new float[rows * PANEL];
        int offset = whole ? row * n + column : 0;
        int stride = whole ? n : PANEL;
        for (int from = 0; from < k; from += DEPTH) {
            int depth = Math.min(DEPTH, k - from);
            Panel.fill(b, column, columns, from, depth, scratch, panel, 0);
            MicroKernel.multiply(rows, a, row * k + from, k, panel, 0, depth, target, offset, stride, from > 0);
        }
        if (!whole) {
            for (int r = 0; r < rows; r++) {
                System.arraycopy(target, r * PANEL, c, (row + r) * n + column, columns);
            }
        }
    }
}
