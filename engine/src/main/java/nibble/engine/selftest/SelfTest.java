package nibble.engine.selftest;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.IntToDoubleFunction;
import nibble.checkpoint.model.layer.Activation;
import nibble.checkpoint.tensor.DType;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceKind;
import nibble.engine.backend.TokenScores;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.VectorBackend;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LogitRule;
import nibble.engine.tensor.Matrix;

/**
 * Compares every operation of a backend with {@link ReferenceBackend} on awkward sizes. A sum of n products in fp32 may
 * differ by (n + 2) u Σ|a||b|, u = 2^-24 (Higham, Accuracy and Stability, 3.1), and a result is rounded once more to
 * the precision of activations; the other bounds are made of these.
 */
public final class SelfTest {
    /** Unit roundoff of fp32. */
    private static final double U = 0x1p-24;
    /** Relative error of a fast exp, with some air. */
    private static final double EXP_ERROR = 1e-6;

    private final ReferenceBackend reference = new ReferenceBackend();
    private final Backend backend;
    private final boolean cuda;
    /** Unit roundoff of activations. */
    private final double activation;

    private final Operands operands = new Operands(7);
    private final Consumer<Check> onCheck;
    private final List<Check> checks = new ArrayList<>();

    /** Bounds the error of attention. */
    interface AttentionBound {
        /**
         * Returns the largest error of a result.
         *
         * @param keys that a query sees at most
         */
        double of(int headDim, int keys, float[] values);
    }

    private SelfTest(Backend backend, Consumer<Check> onCheck) {
        this.backend = backend;
        this.cuda = backend.kind() == DeviceKind.CUDA;
        this.activation = cuda ? 0x1p-11 : U;
        this.onCheck = onCheck;
    }

    /**
     * Runs all checks.
     *
     * @param onCheck sees each as soon as it is done
     */
    public static List<Check> run(Backend backend, Consumer<Check> onCheck) {
        SelfTest test = new SelfTest(backend, onCheck);
        test.embed();
        test.norms();
        new LinearChecks(backend, test.activation).run().forEach(test::done);
        test.rotations();
        test.attention();
        test.attentionOfParts();
        new BlockChecks(backend, test::attentionBound).run().forEach(test::done);
        test.elementwise();
        test.rowCopies();
        test.logProbabilities();
        test.products();
        test.secondMoments();
        new FitChecks(backend, test.activation).run().forEach(test::done);
        new ArchitectureChecks(backend, test.activation).run().forEach(test::done);
        new GradientChecks(backend, test.activation).run().forEach(test::done);
        return test.checks;
    }

    /** Checks the CPU backend in this JVM, for tests that vary the width of its vectors. */
    public static void main(String[] arguments) {
        try (Backend vector = new VectorBackend(2)) {
            for (Check check : run(vector, _ -> {})) {
                if (!check.passed()) {
                    throw new IllegalStateException(check.toString());
                }
            }
            System.out.println("checked " + vector.description());
        }
    }

    private void done(Comparison comparison) {
        done(comparison.result());
    }

    private void done(Check check) {
        checks.add(check);
        onCheck.accept(check);
    }

    private void embed() {
        Comparison comparison = new Comparison("embed");
        for (DType type : new DType[] {DType.F16, DType.BF16, DType.F32}) {
            for (int columns : new int[] {64, 1031}) {
                DenseWeight table = operands.dense(type, 11, columns);
                int[] ids = {3, 0, 10, 3};
                float[][] results = new float[2][];
                for (int b = 0; b < 2; b++) {
                    try (Matrix out = side(b).allocate(ids.length, columns)) {
                        side(b).embed(table, ids, out);
                        results[b] = side(b).download(out);
                    }
                }
                comparison.compare(table.name(), results[1], results[0], _ -> 0);
            }
        }
        done(comparison);
    }

    private Backend side(int b) {
        return b == 0 ? reference : backend;
    }

    private void norms() {
        Comparison comparison = new Comparison("rmsNorm");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {101, 331}, {7, 4096}, {2, 20008}}) {
            float[] x = operands.values(s[0] * s[1]);
            float[] weight = operands.norm(s[1]);
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix a = side(b).upload(x, s[0], s[1])) {
                    side(b).rmsNorm(a, weight, 1e-5, a);
                    results[b] = side(b).download(a);
                }
            }
            float[] expected = results[0];
            comparison.compare(
                    size(s),
                    results[1],
                    expected,
                    i -> ((s[1] / 2.0 + 8) * U + activation) * Math.abs(expected[i]) + 1e-7);
        }
        done(comparison);
    }

    private static String size(int... s) {
        return java.util.Arrays.toString(s);
    }

    private void rotations() {
        Comparison comparison = new Comparison("rope");
        for (int headDim : new int[] {2, 14, 64, 70, 128}) {
            RotaryTable table = RotaryTable.of(10000, headDim, 40);
            int rows = 2 * 33;
            float[] x = operands.values(rows * 3 * headDim);
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix a = side(b).upload(x, rows, 3 * headDim)) {
                    side(b).rope(a, headDim, table, 2, 7);
                    results[b] = side(b).download(a);
                }
            }
            comparison.compare("head size " + headDim, results[1], results[0], _ -> 8 * (4 * U + activation));
        }
        done(comparison);
    }

    private void attention() {
        Comparison comparison = new Comparison("attention");
        // heads, kv heads, head size, sequences, queries, first position
        int[][] cases = {
            {4, 2, 24, 1, 3, 5},
            {6, 2, 8, 1, 70, 0},
            {2, 2, 64, 1, 131, 0},
            {3, 1, 40, 2, 5, 300},
            {4, 4, 128, 1, 66, 259},
            {8, 1, 64, 3, 193, 0},
            {2, 1, 96, 1, 520, 0},
            {2, 1, 128, 2, 129, 64},
            {1, 1, 256, 1, 65, 3}
        };
        int[][] onHostOnly = {{1, 1, 2, 1, 1, 0}, {3, 1, 36, 1, 5, 300}, {2, 1, 34, 2, 520, 0}};
        for (int[] c : cases) {
            attention(comparison, c);
        }
        for (int[] c : cuda ? new int[0][] : onHostOnly) {
            attention(comparison, c);
        }
        done(comparison);
    }

    /** Rows of a longer matrix, against keys that begin somewhere in another: the rest must stay as it was. */
    private void attentionOfParts() {
        Comparison comparison = new Comparison("attention of parts");
        // heads, kv heads, head size, first row, rows, first position, first key
        int[][] cases = {
            {2, 2, 24, 0, 7, 0, 0}, {4, 2, 64, 33, 70, 190, 5}, {2, 1, 128, 3, 1, 129, 64}, {2, 2, 128, 1, 140, 61, 1}
        };
        for (int[] c : cases) {
            AttentionShape shape = new AttentionShape(c[0], c[1], c[2]);
            int rows = c[3] + c[4] + 2;
            int keys = c[6] + c[5] + c[4] + 3;
            float[] q = operands.values(rows * shape.queryColumns());
            float[] k = operands.values(keys * shape.keyColumns());
            float[] v = operands.values(k.length);
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix query = side(b).upload(q, rows, shape.queryColumns());
                        Matrix key = side(b).upload(k, keys, shape.keyColumns());
                        Matrix value = side(b).upload(v, keys, shape.keyColumns());
                        Matrix out = side(b).allocate(rows, shape.queryColumns())) {
                    side(b).attention(shape, new SequencePart(c[3], c[4], c[5], c[6]), query, key, value, out);
                    results[b] = side(b).download(out);
                }
            }
            double bound = attentionBound(c[2], keys, v);
            comparison.compare(size(c), results[1], results[0], _ -> bound);
        }
        done(comparison);
    }

    private void attention(Comparison comparison, int[] c) {
        AttentionShape shape = new AttentionShape(c[0], c[1], c[2]);
        int sequences = c[3];
        int rows = sequences * c[4];
        int keys = c[4] + c[5] + 3;
        float[] q = operands.values(rows * shape.queryColumns());
        float[] k = operands.values(sequences * keys * shape.keyColumns());
        float[] v = operands.values(k.length);
        float[][] results = new float[2][];
        for (int b = 0; b < 2; b++) {
            try (Matrix query = side(b).upload(q, rows, shape.queryColumns());
                    Matrix key = side(b).upload(k, sequences * keys, shape.keyColumns());
                    Matrix value = side(b).upload(v, sequences * keys, shape.keyColumns());
                    Matrix out = side(b).allocate(rows, shape.queryColumns())) {
                side(b).attention(shape, sequences, query, c[5], key, value, out);
                results[b] = side(b).download(out);
            }
        }
        double bound = attentionBound(c[2], keys, v);
        comparison.compare(size(c), results[1], results[0], _ -> bound);
    }

    private double attentionBound(int headDim, int keys, float[] values) {
        double largest = 0;
        for (float value : values) {
            largest = Math.max(largest, Math.abs(value));
        }
        // Scores of size s are wrong by at most (d + 3) u s, so are logarithms of weights; |q·k| <= |q||k| < 4 d. Where
        // the
        // activations are fp16, so are the weights of the values.
        double scoreError = (headDim + 3) * U * 4 * headDim / Math.sqrt(headDim);
        return (2 * (scoreError + EXP_ERROR) + (keys + 4) * U + (cuda ? 3 * activation : 0)) * largest;
    }

    private void elementwise() {
        Comparison swiglu = new Comparison("swiglu");
        Comparison add = new Comparison("add");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {101, 331}, {2, 20011}}) {
            float[] x = operands.values(s[0] * s[1]);
            float[] y = operands.values(s[0] * s[1]);
            x[0] = 95; // exp(-x) leaves the range of floats on either side
            x[x.length / 2] = -95;
            float[][] products = new float[2][];
            float[][] sums = new float[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix a = side(b).upload(x, s[0], s[1]);
                        Matrix c = side(b).upload(y, s[0], s[1])) {
                    side(b).add(a, c);
                    sums[b] = side(b).download(c);
                }
                try (Matrix a = side(b).upload(x, s[0], s[1]);
                        Matrix c = side(b).upload(y, s[0], s[1])) {
                    side(b).glu(Activation.SILU, a, c, c);
                    products[b] = side(b).download(c);
                }
            }
            IntToDoubleFunction rounding = i -> (4 * EXP_ERROR + activation) * Math.abs(products[0][i]) + 1e-7;
            swiglu.compare(size(s), products[1], products[0], rounding);
            add.compare(size(s), sums[1], sums[0], i -> (U + activation) * Math.abs(sums[0][i]) + 1e-7);
        }
        done(swiglu);
        done(add);
    }

    private void rowCopies() {
        Comparison comparison = new Comparison("copyRows, download");
        float[] x = operands.values(9 * 13);
        float[][] results = new float[2][];
        for (int b = 0; b < 2; b++) {
            try (Matrix from = side(b).upload(x, 9, 13);
                    Matrix to = side(b).upload(x, 9, 13)) {
                side(b).copyRows(from, 6, 2, to, 1);
                results[b] = side(b).download(to, 1, 5);
            }
        }
        comparison.compare("[9, 13]", results[1], results[0], _ -> 0);
        done(comparison);
    }

    private void logProbabilities() {
        Comparison comparison = new Comparison("logProbabilities");
        Comparison likeliest = new Comparison("likeliest ids");
        for (int[] s : new int[][] {{1, 3, 5}, {70, 131, 300}, {3, 1009, 64}, {130, 4096, 256}}) {
            DenseWeight head = operands.dense(DType.F16, s[1], s[2]);
            float[] x = operands.values(s[0] * s[2]);
            int[] next = operands.random().ints(s[0], 0, s[1]).toArray();
            next[0] = s[1] - 1;
            float[][] results = new float[2][];
            int[][] best = new int[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix rows = side(b).upload(x, s[0], s[2])) {
                    TokenScores scores = side(b).score(head, LogitRule.NONE, rows, next);
                    results[b] = scores.logProbabilities();
                    best[b] = scores.likeliest();
                }
            }
            // Each logit, so also maximum and logarithm of the sum, has k terms of size about 1/sqrt(k).
            double logitError = (s[2] + 2) * U * 4 * Math.sqrt(s[2]);
            IntToDoubleFunction bound = i -> 3 * logitError + 2 * EXP_ERROR + (s[1] + Math.abs(results[0][i])) * U;
            comparison.compare(size(s), results[1], results[0], bound);
            // Another id will do if it is as likely, within the error of logits.
            try (Matrix rows = reference.upload(x, s[0], s[2])) {
                likeliest.compare(
                        size(s),
                        reference.logProbabilities(head, LogitRule.NONE, rows, best[1]),
                        reference.logProbabilities(head, LogitRule.NONE, rows, best[0]),
                        bound);
            }
        }
        done(comparison);
        done(likeliest);
    }

    private void products() {
        Comparison comparison = new Comparison("multiplyTransposed");
        for (int[] s : new int[][] {{1, 3, 7}, {9, 33, 300}, {40, 65, 129}}) {
            float[] a = operands.values(s[0] * s[2]);
            float[] w = operands.values(s[1] * s[2]);
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix left = side(b).uploadSingle(a, s[0], s[2]);
                        Matrix right = side(b).uploadSingle(w, s[1], s[2]);
                        Matrix out = side(b).allocateSingle(s[0], s[1])) {
                    side(b).multiplyTransposed(left, right, out);
                    results[b] = side(b).download(out);
                }
            }
            comparison.compare(
                    size(s),
                    results[1],
                    results[0],
                    i -> (s[2] + 2) * U * Comparison.sizeOfProduct(a, i / s[1] * s[2], w, i % s[1] * s[2], s[2]));
        }
        done(comparison);
    }

    private void secondMoments() {
        Comparison comparison = new Comparison("addSecondMoment");
        Comparison symmetry = new Comparison("symmetry of second moments");
        for (int[] s : new int[][] {{1, 5}, {300, 33}, {513, 64}, {7, 131}, {40, 2304}}) {
            int k = s[1];
            float[] x = operands.values(s[0] * k);
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix rows = side(b).upload(x, s[0], k);
                        Matrix moment = side(b).allocateSingle(k, k)) {
                    side(b).addSecondMoment(rows, moment);
                    side(b).addSecondMoment(rows, moment);
                    results[b] = side(b).download(moment);
                }
            }
            float[] columns = new float[x.length];
            for (int t = 0; t < s[0]; t++) {
                for (int c = 0; c < k; c++) {
                    columns[c * s[0] + t] = x[t * k + c];
                }
            }
            comparison.compare(
                    size(s),
                    results[1],
                    results[0],
                    i -> 2
                            * (2 * s[0] + 3)
                            * U
                            * Comparison.sizeOfProduct(columns, i / k * s[0], columns, i % k * s[0], s[0]));
            float[] transposed = new float[k * k];
            for (int i = 0; i < k * k; i++) {
                transposed[i] = results[1][i % k * k + i / k];
            }
            symmetry.compare(size(s), results[1], transposed, _ -> 0);
        }
        done(comparison);
        done(symmetry);
    }
}
