package nibble.engine.host.fit;

import nibble.engine.backend.Workers;
import nibble.engine.quantize.FitSteps;

/**
 * The factor of an inverse: U upper with {@code H⁻¹ = Uᵀ U}, where H is C with a damped diagonal and its columns in an
 * order. From the Cholesky factor L of H with its order reversed, {@code J H J = L Lᵀ}, follows {@code U = J L⁻¹ J}. In
 * fp64.
 */
final class DampedFactor {
    /** Rows that are factorized together. */
    private static final int BLOCK = 64;

    private final Workers workers;
    private final int n;
    private final double[] lower;

    private DampedFactor(Workers workers, int n, double[] lower) {
        this.workers = workers;
        this.n = n;
        this.lower = lower;
    }

    static PanelMatrix of(PanelMatrix moment, int[] order, Workers workers) {
        int n = order.length;
        double mean = 0;
        for (int i = 0; i < n; i++) {
            mean += moment.at(i, i) / n;
        }
        // An input that is never anything but 0 has a weight that does not matter; any diagonal will do.
        double least = mean > 0 ? 1e-6 * mean : 1;
        double[] reversed = new double[Math.multiplyExact(n, n)];
        workers.forEach(n, i -> {
            for (int j = 0; j <= i; j++) {
                reversed[i * n + j] = moment.at(order[n - 1 - i], order[n - 1 - j]);
            }
            reversed[i * n + i] += FitSteps.DAMPING * reversed[i * n + i] + least;
        });
        DampedFactor factor = new DampedFactor(workers, n, reversed);
        factor.factorize();
        double[] inverse = factor.inverse();
        return PanelMatrix.of(
                workers,
                n,
                n,
                (row, column) -> column < row ? 0f : (float) inverse[(n - 1 - row) * n + n - 1 - column]);
    }

    /** Turns the lower triangle into L, block of rows by block of rows. */
    private void factorize() {
        for (int first = 0; first < n; first += BLOCK) {
            int from = first;
            int end = Math.min(first + BLOCK, n);
            for (int i = first; i < end; i++) {
                solve(i, from, i);
                double pivot = lower[i * n + i];
                for (int k = from; k < i; k++) {
                    pivot -= lower[i * n + k] * lower[i * n + k];
                }
                // Damping keeps it above 0 in exact arithmetic; rounding is far below the damping.
                lower[i * n + i] = Math.sqrt(Math.max(pivot, Double.MIN_NORMAL));
            }
            workers.forEach(n - end, i -> solve(end + i, from, end));
            double[] panel = transposed(from, end);
            workers.forEach((n - end + BLOCK - 1) / BLOCK, task -> {
                int last = Math.min(end + (task + 1) * BLOCK, n);
                for (int i = end + task * BLOCK; i < last; i++) {
                    update(i, from, end, panel);
                }
            });
        }
    }

    /** Columns {@code from … to} of row i of L, given those before. */
    private void solve(int i, int from, int to) {
        for (int j = from; j < to; j++) {
            double sum = lower[i * n + j];
            for (int k = from; k < j; k++) {
                sum -= lower[i * n + k] * lower[j * n + k];
            }
            lower[i * n + j] = sum / lower[j * n + j];
        }
    }

    /** Columns {@code from … end} of L below them, as rows of n − end numbers. */
    private double[] transposed(int from, int end) {
        int width = n - end;
        double[] panel = new double[(end - from) * width];
        workers.forEach(end - from, k -> {
            for (int i = 0; i < width; i++) {
                panel[k * width + i] = lower[(end + i) * n + from + k];
            }
        });
        return panel;
    }

    private void update(int i, int from, int end, double[] panel) {
        int width = n - end;
        int count = i - end + 1;
        int into = i * n + end;
        for (int k = 0; k < end - from; k++) {
            double factor = lower[i * n + from + k];
            int row = k * width;
            for (int j = 0; j < count; j++) {
                lower[into + j] -= factor * panel[row + j];
            }
        }
    }

    /** L⁻¹, lower, column tiles side by side. */
    private double[] inverse() {
        double[] inverse = new double[n * n];
        workers.forEach((n + BLOCK - 1) / BLOCK, tile -> {
            int first = tile * BLOCK;
            int end = Math.min(first + BLOCK, n);
            for (int i = first; i < n; i++) {
                int into = i * n;
                if (i < end) {
                    inverse[into + i] = 1;
                }
                int width = Math.min(end, i + 1);
                for (int k = first; k < i; k++) {
                    double factor = lower[i * n + k];
                    int row = k * n;
                    for (int j = first; j < Math.min(width, k + 1); j++) {
                        inverse[into + j] -= factor * inverse[row + j];
                    }
                }
                double pivot = lower[i * n + i];
                for (int j = first; j < width; j++) {
                    inverse[into + j] /= pivot;
                }
            }
        });
        return inverse;
    }
}
