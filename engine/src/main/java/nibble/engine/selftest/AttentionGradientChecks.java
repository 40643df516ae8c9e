package nibble.engine.selftest;

import java.util.Arrays;
import java.util.List;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.AttentionPass;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.LayerOperations;
import nibble.engine.tensor.Matrix;

/**
 * Checks attention in a forward pass whose gradient is asked for, that gradient, and the small operations around it.
 */
final class AttentionGradientChecks {
    private static final double U = GradientChecks.U;
    private static final int NO_WINDOW = Integer.MAX_VALUE;

    private final List<GradientOperations> both;
    private final double written;
    private final Operands operands = new Operands(17);

    AttentionGradientChecks(List<GradientOperations> both, double written) {
        this.both = both;
        this.written = written;
    }

    List<Check> run() {
        return List.of(attention(), gradients(), around());
    }

    /** Holds what goes into attention, and the shares that its queries give. */
    private final class Case {
        final AttentionShape shape;
        final int sequences;
        final int length;
        final int rows;
        final float[] q;
        final float[] k;
        final float[] v;
        final float[] dOut;
        final double largestQuery;
        final double largestKey;
        final double largestGradient;
        /** Of a query head's rows for each key row: Σ over the queries. */
        final double[] shares;

        Case(int[] c) {
            sequences = c[0];
            length = c[1];
            shape = new AttentionShape(c[2], c[3], c[4], c[5]);
            rows = sequences * length;
            q = operands.values(rows * shape.queryColumns());
            k = operands.values(rows * shape.keyColumns());
            v = operands.values(k.length);
            dOut = operands.values(q.length);
            largestQuery = largest(q);
            largestKey = largest(k);
            largestGradient = largest(dOut);
            shares = new double[rows * shape.kvHeads()];
            findShares();
        }

        private void findShares() {
            int d = shape.headDim();
            double[] p = new double[length];
            for (int t = 0; t < rows; t++) {
                int position = t % length;
                for (int h = 0; h < shape.heads(); h++) {
                    int kv = h / (shape.heads() / shape.kvHeads());
                    double sum = 0;
                    for (int j = shape.firstSeen(position); j <= position; j++) {
                        double score = 0;
                        for (int i = 0; i < d; i++) {
                            score += (double) q[(t * shape.heads() + h) * d + i]
                                    * k[((t - position + j) * shape.kvHeads() + kv) * d + i];
                        }
                        p[j] = Math.exp(score / Math.sqrt(d));
                        sum += p[j];
                    }
                    for (int j = shape.firstSeen(position); j <= position; j++) {
                        shares[(t - position + j) * shape.kvHeads() + kv] += p[j] / sum;
                    }
                }
            }
        }

        /** Bounds the relative error of a share: of its score, of exp, of the sum, and of the rounding for products. */
        double shareError() {
            int d = shape.headDim();
            double score = (d + 4) * U * largestQuery * largestKey * Math.sqrt(d);
            return 2 * score + 4 * GradientChecks.EXP_ERROR + (length + 4) * U + written;
        }

        /** Bounds the gradient of a share. */
        double dShare() {
            return shape.headDim() * 0.8 * largestGradient * largest(v);
        }
    }

    private static double largest(float[] values) {
        double largest = 0;
        for (float value : values) {
            largest = Math.max(largest, Math.abs(value));
        }
        return largest;
    }

    private Check attention() {
        Comparison comparison = new Comparison("attention before its gradient");
        // sequences, queries, heads, kv heads, head size, window, first position
        int[][] cases = {
            {1, 3, 4, 2, 24, NO_WINDOW, 5},
            {1, 131, 2, 2, 64, NO_WINDOW, 0},
            {2, 5, 3, 1, 40, NO_WINDOW, 300},
            {3, 64, 6, 2, 16, 50, 0},
            {2, 70, 8, 1, 64, 3, 60}
        };
        for (int[] c : cases) {
            AttentionShape shape = new AttentionShape(c[2], c[3], c[4], c[5]);
            int rows = c[0] * c[1];
            int keys = c[0] * (c[1] + c[6] + 3);
            float[] q = operands.values(rows * shape.queryColumns());
            float[] k = operands.values(keys * shape.keyColumns());
            float[] v = operands.values(k.length);
            for (int i = 0; i < k.length; i++) {
                // Beyond what is seen there is nothing to read.
                if (i / shape.keyColumns() % (c[1] + c[6] + 3) >= c[1] + c[6]) {
                    k[i] = Float.NaN;
                    v[i] = Float.NaN;
                }
            }
            float[][] results = GradientChecks.results(both, operations -> {
                LayerOperations layers = operations.layers();
                try (Matrix query = layers.upload(q, rows, shape.queryColumns());
                        Matrix key = layers.upload(k, keys, shape.keyColumns());
                        Matrix value = layers.upload(v, keys, shape.keyColumns());
                        Matrix out = GradientChecks.poisoned(operations, rows, shape.queryColumns())) {
                    layers.attention(shape, c[0], query, c[6], key, value, out);
                    return layers.download(out);
                }
            });
            double score = (c[4] + 4) * U * 25 * Math.sqrt(c[4]);
            double bound = 5 * (2 * score + 4 * GradientChecks.EXP_ERROR + 2 * (c[1] + c[6] + 4) * U + written);
            comparison.compare(Arrays.toString(c), results[1], results[0], _ -> bound);
        }
        return comparison.result();
    }

    private Check gradients() {
        Comparison comparison = new Comparison("gradient of attention");
        // sequences, length, heads, kv heads, head size, window
        int[][] cases = {
            {1, 1, 2, 1, 8, NO_WINDOW},
            {1, 150, 4, 2, 40, NO_WINDOW},
            {3, 64, 2, 2, 64, NO_WINDOW},
            {2, 133, 6, 2, 16, 50},
            {2, 7, 2, 1, 300, 3},
            {1, 257, 8, 1, 32, NO_WINDOW}
        };
        for (int[] sizes : cases) {
            Case c = new Case(sizes);
            int queryColumns = c.shape.queryColumns();
            int keyColumns = c.shape.keyColumns();
            float[][] results = GradientChecks.results(both, operations -> {
                LayerOperations layers = operations.layers();
                try (Matrix query = layers.upload(c.q, c.rows, queryColumns);
                        Matrix key = layers.upload(c.k, c.rows, keyColumns);
                        Matrix value = layers.upload(c.v, c.rows, keyColumns);
                        Matrix dOut = layers.upload(c.dOut, c.rows, queryColumns);
                        Matrix out = GradientChecks.poisoned(operations, c.rows, queryColumns);
                        Matrix dQuery = GradientChecks.poisoned(operations, c.rows, queryColumns);
                        Matrix dKey = GradientChecks.poisoned(operations, c.rows, keyColumns);
                        Matrix dValue = GradientChecks.poisoned(operations, c.rows, keyColumns)) {
                    layers.attention(c.shape, c.sequences, query, 0, key, value, out);
                    operations.attention(
                            c.shape,
                            c.sequences,
                            new AttentionPass(query, key, value, out, dOut, dQuery, dKey, dValue));
                    return GradientChecks.joined(
                            layers.download(dQuery), layers.download(dKey), layers.download(dValue));
                }
            });
            double error = c.shareError();
            double sums = (c.length * (c.shape.heads() / c.shape.kvHeads()) + 4) * U;
            // A score's gradient is share · (its gradient − their mean) / √d; shares of a query sum to 1.
            double score = 2 * c.dShare() / Math.sqrt(c.shape.headDim()) * (2 * error + 2 * written + sums);
            comparison.compare(Arrays.toString(sizes), results[1], results[0], i -> {
                if (i < c.q.length) {
                    return score * c.largestKey;
                }
                int at = (i - c.q.length) % c.k.length;
                double share = c.shares[at / c.shape.headDim()];
                return i < c.q.length + c.k.length
                        ? share * score * c.largestQuery
                        : share * (error + sums) * c.largestGradient;
            });
        }
        return comparison.result();
    }

    /** Checks rope there and back, biases, sums, factors. */
    private Check around() {
        Comparison comparison = new Comparison("rope, biases, sums in fp32");
        for (int headDim : new int[] {2, 14, 64, 70, 128}) {
            RotaryTable table = RotaryTable.of(10000, headDim, 40);
            int rows = 2 * 33;
            int columns = 3 * headDim;
            float[] x = operands.values(rows * columns);
            float[] y = operands.values(rows * columns);
            float[] bias = operands.values(columns);
            float[][] results = GradientChecks.results(both, operations -> {
                LayerOperations layers = operations.layers();
                try (Matrix a = layers.upload(x, rows, columns);
                        Matrix b = layers.upload(y, rows, columns)) {
                    layers.rope(a, headDim, table, 2, 7);
                    float[] turned = layers.download(a);
                    layers.rope(a, headDim, table.transposed(), 2, 7);
                    layers.addBias(bias, a);
                    layers.add(b, a);
                    layers.scale(a, 1.5f);
                    return GradientChecks.joined(turned, layers.download(a));
                }
            });
            comparison.compare("head size " + headDim, results[1], results[0], _ -> 24 * 8 * U);
        }
        return comparison.result();
    }
}
