package nibble.engine.host.vector;

import static nibble.engine.host.vector.MicroKernel.DEPTH;
import static nibble.engine.host.vector.MicroKernel.PANEL;

import java.util.Arrays;
import nibble.engine.backend.Workers;
import nibble.engine.host.vector.PanelKernel.Rows;

/**
 * Computes {@code c[m, n] = Σ_k a[m, k] b[k, n]}, with b by rows: what {@link Gemm} is to a linear layer, this is to
 * its gradient. A task is 32 columns of c, or some rows of them.
 */
public final class RowGemm {
    /** Rows of c a task has at least where columns alone are too few tasks. */
    private static final int FEWEST_ROWS = 128;

    private static final int TASKS_PER_WORKER = 4;

    private RowGemm() {}

    /**
     * Computes the product.
     *
     * @param a [m, k]
     * @param b k rows of n columns
     * @param accumulate whether to add to c or to overwrite it
     */
    public static void multiply(
            Workers workers,
            PanelKernel kernel,
            float[] a,
            int m,
            int k,
            RowSource b,
            int n,
            float[] c,
            boolean accumulate) {
        int panels = (n + PANEL - 1) / PANEL;
        int wantedSplits = (TASKS_PER_WORKER * workers.threads() + panels - 1) / Math.max(1, panels);
        int splits = workers.threads() == 1 ? 1 : Math.max(1, Math.min(wantedSplits, m / FEWEST_ROWS));
        int rowsPerTask = MicroKernel.roundUp((m + splits - 1) / splits);
        workers.forEach(panels * splits, task -> {
            int row = task % splits * rowsPerTask;
            int rows = Math.min(rowsPerTask, m - row);
            int column = task / splits * PANEL;
            if (rows > 0) {
                tile(kernel, a, row, rows, k, b, column, Math.min(PANEL, n - column), c, n, accumulate);
            }
        });
    }

    private static void tile(
            PanelKernel kernel,
            float[] a,
            int row,
            int rows,
            int k,
            RowSource b,
            int column,
            int columns,
            float[] c,
            int n,
            boolean accumulate) {
        float[] panel = new float[Math.min(k, DEPTH) * PANEL];
        boolean whole = columns == PANEL;
        float[] target = whole ? c : new float[rows * PANEL];
        int offset = whole ? row * n + column : 0;
        int stride = whole ? n : PANEL;
        for (int from = 0; from < k; from += DEPTH) {
            int depth = Math.min(DEPTH, k - from);
            if (!whole) {
                Arrays.fill(panel, 0f);
            }
            for (int i = 0; i < depth; i++) {
                b.read(from + i, column, columns, panel, i * PANEL);
            }
            boolean add = from > 0 || whole && accumulate;
            kernel.multiply(
                    rows, new Rows(a, row * k + from, k), panel, 0, depth, new Rows(target, offset, stride), add);
        }
        for (int r = 0; !whole && r < rows; r++) {
            int at = (row + r) * n + column;
            for (int i = 0; i < columns; i++) {
                c[at + i] = (accumulate ? c[at + i] : 0) + target[r * PANEL + i];
            }
        }
    }
}
