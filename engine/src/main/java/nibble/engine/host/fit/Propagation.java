package nibble.engine.host.fit;

import nibble.engine.backend.Workers;
import nibble.engine.host.vector.Gemm;
import nibble.engine.host.vector.PanelKernel;
import org.jspecify.annotations.Nullable;

/**
 * The weights that undo the error of what was quantized before. With R the mean of what a linear's output lacks,
 * correlated with its input, the weights {@code W + R (C + λ diag C)⁻¹} give the output that the original model has.
 * The share a of that move which also holds on text it was not fitted to is found from two halves of the text:
 *
 * <pre>
 * a = 2 ⟨d₀, R₁⟩ / (⟨d₀, d₀ C⟩ + ⟨d₁, d₁ C⟩)      dₕ = Rₕ (C + λ diag C)⁻¹ of half h
 * </pre>
 */
final class Propagation {
    private final Workers workers;
    private final HostPairedMoments moments;
    private final FitInput input;

    Propagation(Workers workers, HostPairedMoments moments, FitInput input) {
        this.workers = workers;
        this.moments = moments;
        this.input = input;
    }

    /**
     * Moves weights.
     *
     * @param original W [out, n] in the original basis
     * @param scaled W in the basis of the fit [out, n]; what is to be moved
     * @param columns factors of the columns of that basis, or null for ones
     * @return the share of the move, 0 … 1
     */
    double move(float[] original, float[] scaled, int out, float @Nullable [] columns) {
        int n = input.columns();
        float[][] lacks = {lack(original, out, columns, 0), lack(original, out, columns, 1)};
        float[][] moves = {solved(lacks[0], out), solved(lacks[1], out)};
        double covered = 2 * dot(moves[0], lacks[1], out);
        double needed = quadratic(moves[0], out) + quadratic(moves[1], out);
        double share = needed > 0 ? Math.clamp(covered / needed, 0, 1) : 0;
        double all = moments.rows(0) + moments.rows(1);
        float first = (float) (share * moments.rows(0) / all);
        float second = (float) (share * moments.rows(1) / all);
        workers.forEach(out, row -> {
            for (int i = row * n; i < (row + 1) * n; i++) {
                scaled[i] += first * moves[0][i] + second * moves[1][i];
            }
        });
        return share;
    }

    /** R of a half, a mean over its tokens, in the basis of the fit [out, n]. */
    private float[] lack(float[] original, int out, float @Nullable [] columns, int half) {
        int n = input.columns();
        float[] lack = moments.outputLack(original, out, half);
        double tokens = Math.max(1, moments.rows(half));
        workers.forEach(out, row -> {
            for (int i = 0; i < n; i++) {
                int at = row * n + i;
                lack[at] = (float) (lack[at] / tokens / (columns == null ? 1 : columns[i]));
            }
        });
        return lack;
    }

    /** {@code R H⁻¹ = (R Uᵀ) U}, with the columns in U's order in between. */
    private float[] solved(float[] lack, int out) {
        int n = input.columns();
        PanelMatrix factor = input.factor();
        float[] ordered = new float[out * n];
        workers.forEach(out, row -> {
            for (int i = 0; i < n; i++) {
                ordered[row * n + i] = lack[row * n + input.order()[i]];
            }
        });
        float[] half = new float[out * n];
        new Gemm(PanelKernel.vectors(), ordered, n, factor.rows(), n, half).multiply(workers, out);
        float[] whole = multiplied(half, out, factor);
        float[] solved = ordered;
        workers.forEach(out, row -> {
            for (int i = 0; i < n; i++) {
                solved[row * n + input.order()[i]] = whole[row * factor.stride() + i];
            }
        });
        return solved;
    }

    /** {@code a m} [out, stride]. */
    private float[] multiplied(float[] a, int out, PanelMatrix m) {
        int n = input.columns();
        float[] product = new float[out * m.stride()];
        workers.forEach((out + RowTile.ROWS - 1) / RowTile.ROWS, tile -> {
            int row = tile * RowTile.ROWS;
            int rows = Math.min(RowTile.ROWS, out - row);
            m.multiply(rows, a, row * n, n, 0, n, 0, m.stride(), product, row * m.stride(), m.stride(), false);
        });
        return product;
    }

    private double quadratic(float[] move, int out) {
        int n = input.columns();
        float[] product = multiplied(move, out, input.moment());
        int stride = input.stride();
        double[] sums = new double[out];
        workers.forEach(out, row -> {
            for (int i = 0; i < n; i++) {
                sums[row] += (double) move[row * n + i] * product[row * stride + i];
            }
        });
        return sum(sums);
    }

    private double dot(float[] a, float[] b, int out) {
        int n = input.columns();
        double[] sums = new double[out];
        workers.forEach(out, row -> {
            for (int i = row * n; i < (row + 1) * n; i++) {
                sums[row] += (double) a[i] * b[i];
            }
        });
        return sum(sums);
    }

    private static double sum(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum;
    }
}
