package nibble.engine.host.vector;

import static nibble.engine.host.vector.MicroKernel.DEPTH;
import static nibble.engine.host.vector.MicroKernel.PANEL;

import java.util.Arrays;
import nibble.engine.backend.TokenScores;
import nibble.engine.backend.Workers;
import nibble.engine.host.vector.PanelKernel.Rows;
import nibble.engine.tensor.LogitRule;

/**
 * Computes {@code log softmax(x[t] headᵀ)[next[t]]} without the logits: a task makes those of {@value #COLUMNS}
 * vocabulary entries, {@value #ROWS} tokens at a time, and keeps of each token only their maximum and where it stands,
 * the sum of their exponentials, and the logit asked for. These are joined over the vocabulary in order.
 */
public final class TokenLogProbabilities {
    private static final int COLUMNS = 4 * PANEL;
    private static final int ROWS = 64;
    /** Tokens of a pass; bounds what is kept: 12 bytes a token and task. */
    private static final int PASS = 4096;

    private TokenLogProbabilities() {}

    /**
     * Computes all rows.
     *
     * @param x [next.length, k]
     * @param head [vocabulary, k]
     */
    public static TokenScores run(
            Workers workers,
            PanelKernel kernel,
            float[] x,
            int k,
            RowSource head,
            int vocabulary,
            LogitRule rule,
            int[] next) {
        float[] result = new float[next.length];
        int[] likeliest = new int[next.length];
        int groups = (vocabulary + COLUMNS - 1) / COLUMNS;
        for (int start = 0; start < next.length; start += PASS) {
            int first = start;
            int rows = Math.min(PASS, next.length - first);
            float[][] max = new float[groups][rows];
            float[][] sum = new float[groups][rows];
            int[][] best = new int[groups][rows];
            float[] chosen = new float[rows];
            workers.forEach(groups, group -> {
                int column = group * COLUMNS;
                int columns = Math.min(COLUMNS, vocabulary - column);
                group(
                        kernel,
                        x,
                        first,
                        rows,
                        k,
                        head,
                        column,
                        columns,
                        rule,
                        next,
                        max[group],
                        best[group],
                        sum[group],
                        chosen);
            });
            for (int r = 0; r < rows; r++) {
                float largest = Float.NEGATIVE_INFINITY;
                for (int g = 0; g < groups; g++) {
                    if (max[g][r] > largest) {
                        largest = max[g][r];
                        likeliest[first + r] = best[g][r];
                    }
                }
                double total = 0;
                for (int g = 0; g < groups; g++) {
                    total += sum[g][r] * Math.exp(max[g][r] - largest);
                }
                result[first + r] = (float) (chosen[r] - largest - Math.log(total));
            }
        }
        return new TokenScores(result, likeliest);
    }

    private static void group(
            PanelKernel kernel,
            float[] x,
            int first,
            int rows,
            int k,
            RowSource head,
            int column,
            int columns,
            LogitRule rule,
            int[] next,
            float[] max,
            int[] best,
            float[] sum,
            float[] chosen) {
        int panels = (columns + PANEL - 1) / PANEL;
        int width = panels * PANEL;
        float[] packed = new float[panels * k * PANEL];
        for (int p = 0; p < panels; p++) {
            int c = p * PANEL;
            head.fill(column + c, Math.min(PANEL, columns - c), 0, k, packed, p * k * PANEL);
        }
        float[] logits = new float[ROWS * width];
        for (int row = 0; row < rows; row += ROWS) {
            int n = Math.min(ROWS, rows - row);
            for (int p = 0; p < panels; p++) {
                for (int from = 0; from < k; from += DEPTH) {
                    int depth = Math.min(DEPTH, k - from);
                    kernel.multiply(
                            n,
                            new Rows(x, (first + row) * k + from, k),
                            packed,
                            (p * k + from) * PANEL,
                            depth,
                            new Rows(logits, p * PANEL, width),
                            from > 0);
                }
            }
            for (int r = 0; r < n; r++) {
                int at = r * width;
                for (int c = 0; rule.hasBias() && c < columns; c++) {
                    logits[at + c] += rule.bias()[column + c];
                }
                if (rule.cap() != 0) {
                    Cap.run(logits, at, at + columns, rule.cap());
                }
                Arrays.fill(logits, at + columns, at + width, Float.NEGATIVE_INFINITY);
                int id = next[first + row + r] - column;
                if (id >= 0 && id < columns) {
                    chosen[row + r] = logits[at + id];
                }
                float largest = Softmax.max(logits, at, width);
                max[row + r] = largest;
                best[row + r] = column + first(logits, at, columns, largest);
                sum[row + r] = Softmax.sumOfExponentials(logits, at, width, largest);
            }
        }
    }

    /** The first of {@code columns} that holds {@code value}; 0 where that is NaN. */
    private static int first(float[] logits, int at, int columns, float value) {
        for (int c = 0; c < columns; c++) {
            if (logits[at + c] == value) {
                return c;
            }
        }
        return 0;
    }
}
