package nibble.engine.selftest;

import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Backend;
import nibble.engine.backend.LayerOperations;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.tensor.Matrix;

/**
 * The operations that only some architectures need: norms of heads, biases, scaled embeddings, GELU, windows of
 * attention.
 */
final class ArchitectureChecks {
    /** Unit roundoff of fp32. */
    private static final double U = 0x1p-24;
    /** Relative error of a fast exp, with some air. */
    private static final double EXP_ERROR = 1e-6;

    private final ReferenceBackend reference = new ReferenceBackend();
    private final Backend backend;
    /** Unit roundoff of activations. */
    private final double activation;

    private final Operands operands = new Operands(11);

    /** @param activation unit roundoff of the backend's activations */
    ArchitectureChecks(Backend backend, double activation) {
        this.backend = backend;
        this.activation = activation;
    }

    List<Check> run() {
        return List.of(
                headNorms(),
                centered(),
                centeredHeads(),
                biases(),
                scales(),
                geglu(),
                clampedSwiglu(),
                windows(false, false),
                windows(false, true),
                windows(true, false),
                caps(),
                columns(),
                partialRope());
    }

    /** Both backends' results of an operation in place, the reference's first. */
    private float[][] inPlace(float[] x, int rows, int columns, BiConsumer<Backend, Matrix> operation) {
        float[][] results = new float[2][];
        for (int b = 0; b < 2; b++) {
            Backend side = b == 0 ? reference : backend;
            try (Matrix matrix = side.upload(x, rows, columns)) {
                operation.accept(side, matrix);
                results[b] = side.download(matrix);
            }
        }
        return results;
    }

    private static float[] scaled(float[] values, float factor) {
        for (int i = 0; i < values.length; i++) {
            values[i] *= factor;
        }
        return values;
    }

    private Check headNorms() {
        Comparison comparison = new Comparison("rmsNormHeads");
        // rows, heads, head size
        for (int[] s : new int[][] {{1, 1, 2}, {3, 5, 18}, {101, 4, 64}, {7, 8, 128}, {2, 3, 300}}) {
            float[] gain = operands.norm(s[2]);
            float[][] results = inPlace(
                    operands.values(s[0] * s[1] * s[2]),
                    s[0],
                    s[1] * s[2],
                    (side, x) -> side.rmsNormHeads(x, gain, 1e-6));
            comparison.compare(
                    Arrays.toString(s),
                    results[1],
                    results[0],
                    i -> ((s[2] / 2.0 + 8) * U + activation) * Math.abs(results[0][i]) + 1e-7);
        }
        return comparison.result();
    }

    private Check centered() {
        Comparison comparison = new Comparison("center");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {101, 331}, {7, 4096}}) {
            float[][] results = inPlace(operands.values(s[0] * s[1]), s[0], s[1], (side, x) -> side.center(x, x));
            // The mean of values about 1, summed in fp32.
            comparison.compare(
                    Arrays.toString(s),
                    results[1],
                    results[0],
                    i -> (s[1] + 8) * U + (activation + U) * (1 + Math.abs(results[0][i])));
        }
        return comparison.result();
    }

    private Check centeredHeads() {
        Comparison comparison = new Comparison("layerNormHeads");
        // rows, heads, head size
        for (int[] s : new int[][] {{1, 1, 2}, {3, 5, 18}, {101, 4, 64}, {2, 3, 300}}) {
            float[] gain = operands.norm(s[1] * s[2]);
            float[][] results = inPlace(
                    operands.values(s[0] * s[1] * s[2]),
                    s[0],
                    s[1] * s[2],
                    (side, x) -> side.layerNormHeads(x, gain, s[2], 1e-2));
            // Values of about 1 by at most 10, the root of epsilon; the mean as in center.
            comparison.compare(
                    Arrays.toString(s),
                    results[1],
                    results[0],
                    i -> 10 * Math.abs(gain[i % gain.length]) * (s[2] + 8) * U
                            + ((s[2] / 2.0 + 8) * U + activation) * Math.abs(results[0][i])
                            + 1e-7);
        }
        return comparison.result();
    }

    private Check biases() {
        Comparison comparison = new Comparison("addBias");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {101, 331}, {2, 4096}}) {
            float[] bias = operands.values(s[1]);
            float[][] results = inPlace(operands.values(s[0] * s[1]), s[0], s[1], (side, x) -> side.addBias(bias, x));
            comparison.compare(
                    Arrays.toString(s), results[1], results[0], i -> (U + activation) * Math.abs(results[0][i]) + 1e-7);
        }
        return comparison.result();
    }

    private Check scales() {
        Comparison comparison = new Comparison("scale");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {2, 20011}}) {
            float[][] results = inPlace(
                    operands.values(s[0] * s[1]), s[0], s[1], (side, x) -> side.scale(x, (float) Math.sqrt(3072)));
            comparison.compare(
                    Arrays.toString(s), results[1], results[0], i -> (U + activation) * Math.abs(results[0][i]) + 1e-7);
        }
        return comparison.result();
    }

    private Check caps() {
        Comparison comparison = new Comparison("cap");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {2, 20011}}) {
            float[] x = operands.values(s[0] * s[1]);
            for (int i = 0; i < x.length; i += 3) {
                x[i] *= 60;
            }
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                Backend side = b == 0 ? reference : backend;
                try (Matrix matrix = side.allocateSingle(s[0], s[1]);
                        Matrix given = side.uploadSingle(x, s[0], s[1])) {
                    side.copyRows(given, 0, s[0], matrix, 0);
                    side.cap(matrix, 30);
                    results[b] = side.download(matrix);
                }
            }
            // tanh to some units in its last place, and a product.
            comparison.compare(
                    Arrays.toString(s), results[1], results[0], i -> 8 * U * Math.max(Math.abs(results[0][i]), 1e-3));
        }
        return comparison.result();
    }

    /** Copies of columns, with some that stay and some that become 0. */
    private Check columns() {
        Comparison comparison = new Comparison("gatherColumns");
        // rows, columns of the source, columns of the target
        for (int[] s : new int[][] {{1, 1, 1}, {3, 37, 50}, {101, 96, 331}, {2, 4096, 1000}}) {
            int[] from = new int[s[2]];
            for (int j = 0; j < from.length; j++) {
                from[j] = j % 5 == 3 ? LayerOperations.KEPT : j % 7 == 2 ? LayerOperations.ZERO : j * 31 % s[1];
            }
            float[] source = operands.values(s[0] * s[1]);
            float[][] results = inPlace(operands.values(s[0] * s[2]), s[0], s[2], (side, target) -> {
                try (Matrix x = side.upload(source, s[0], s[1])) {
                    side.gatherColumns(x, from, target);
                }
            });
            comparison.compare(
                    Arrays.toString(s),
                    results[1],
                    results[0],
                    i -> activation > U ? activation * Math.abs(results[0][i]) + 1e-7 : 0);
        }
        return comparison.result();
    }

    /** Rope of the first values of each head: the others stay as they are. */
    private Check partialRope() {
        Comparison comparison = new Comparison("rope of a part of each head");
        // rows, heads, head size, values that turn
        for (int[] s : new int[][] {{5, 3, 16, 12}, {7, 2, 128, 96}, {4, 5, 24, 10}, {9, 1, 64, 2}}) {
            RotaryTable table = RotaryTable.of(10_000, s[3], 20);
            float[] x = operands.values(s[0] * s[1] * s[2]);
            float[][] results = inPlace(x, s[0], s[1] * s[2], (side, matrix) -> side.rope(matrix, s[2], table, 1, 7));
            comparison.compare(
                    Arrays.toString(s), results[1], results[0], i -> i % s[2] < s[3] ? (4 * U + activation) * 8 : 0);
        }
        return comparison.result();
    }

    private Check geglu() {
        Comparison comparison = new Comparison("geglu");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {101, 331}, {2, 20011}}) {
            float[] gate = operands.values(s[0] * s[1]);
            float[] up = operands.values(s[0] * s[1]);
            gate[0] = 40; // exp(-2z) leaves the range of floats on either side
            gate[gate.length / 2] = -40;
            float[][] results = inPlace(up, s[0], s[1], (side, x) -> {
                try (Matrix g = side.upload(gate, s[0], s[1])) {
                    side.glu(Activation.GELU_TANH, g, x, x);
                }
            });
            comparison.compare(Arrays.toString(s), results[1], results[0], i -> {
                double x = gate[i];
                // A relative error of 5 u in the exponent 2z is an absolute one, which exp makes relative again.
                double exponent = 2 * Math.sqrt(2 / Math.PI) * Math.abs(x + 0.044715 * x * x * x);
                double relative = 4 * EXP_ERROR + 5 * U * Math.min(exponent, 90) + activation;
                return relative * Math.abs(results[0][i]) + 1e-7;
            });
        }
        return comparison.result();
    }

    private Check clampedSwiglu() {
        Comparison comparison = new Comparison("clamped swiglu");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {101, 331}, {2, 20011}}) {
            float[] gate = operands.values(s[0] * s[1]);
            float[] up = operands.values(s[0] * s[1]);
            // By a power of two, so that fp16 holds them as before.
            for (int i = 0; i < gate.length; i += 3) {
                gate[i] *= 16;
                up[gate.length - 1 - i] *= 16;
            }
            float[][] results = inPlace(up, s[0], s[1], (side, x) -> {
                try (Matrix g = side.upload(gate, s[0], s[1])) {
                    side.glu(Activation.CLAMPED_SWIGLU, g, x, x);
                }
            });
            // The gate at most 7 times the sigmoid, and up + 1 at most 8; an error of the exponent is at most 1.702 |g|
            // u.
            comparison.compare(Arrays.toString(s), results[1], results[0], i -> {
                double relative = 4 * EXP_ERROR + 5 * U * Math.min(1.702 * Math.abs(gate[i]), 90) + activation;
                return relative * Math.abs(results[0][i]) + 8 * U * Math.max(1, Math.abs(gate[i])) + 1e-7;
            });
        }
        return comparison.result();
    }

    /**
     * @param capped whether scores have a factor of their own and a cap
     * @param sinks whether softmax has a score beside those of keys
     */
    private Check windows(boolean capped, boolean sinks) {
        Comparison comparison = new Comparison(
                "attention with a window" + (capped ? " and capped scores" : "") + (sinks ? " and sinks" : ""));
        // heads, kv heads, head size, sequences, queries, first position, window
        int[][] cases = {
            {4, 2, 24, 1, 3, 5, 1},
            {6, 2, 8, 1, 70, 0, 7},
            {2, 2, 64, 1, 331, 0, 64},
            {3, 1, 40, 2, 5, 300, 129},
            {4, 4, 128, 1, 266, 259, 200},
            {8, 1, 64, 3, 193, 0, 192},
            {2, 1, 96, 1, 1100, 0, 513},
            {2, 1, 128, 2, 1, 640, 63},
            {1, 1, 256, 1, 165, 3, 33},
            {2, 1, 64, 1, 50, 0, 50}
        };
        for (int[] c : cases) {
            AttentionShape plain = new AttentionShape(c[0], c[1], c[2], c[6]);
            AttentionShape capOrNot = capped
                    ? new AttentionShape(
                            c[0], c[1], c[2], c[5] > 0 ? c[6] : ModelConfig.NO_WINDOW, 0.7f * plain.scale(), 2)
                    : plain;
            AttentionShape shape = sinks ? capOrNot.withSinks(scaled(operands.values(c[0]), 3)) : capOrNot;
            int sequences = c[3];
            int rows = sequences * c[4];
            int keys = c[4] + c[5];
            float[] k = operands.values(sequences * keys * shape.keyColumns());
            float[] v = operands.values(k.length);
            float[] q = operands.values(rows * shape.queryColumns());
            float[][] results = inPlace(q, rows, shape.queryColumns(), (side, x) -> {
                try (Matrix query = side.upload(q, rows, shape.queryColumns());
                        Matrix key = side.upload(k, sequences * keys, shape.keyColumns());
                        Matrix value = side.upload(v, sequences * keys, shape.keyColumns())) {
                    side.attention(shape, sequences, query, c[5], key, value, x);
                }
            });
            double largest = 0;
            for (float value : v) {
                largest = Math.max(largest, Math.abs(value));
            }
            // As in attention without a window.
            double scoreError = (c[2] + 3) * U * 4 * Math.sqrt(c[2]);
            double halves = activation > U ? 3 * activation : 0;
            // A cap's slope is at most 1; tanh adds a few roundings of the cap.
            double capError = capped ? 8 * U * shape.cap() : 0;
            double bound = (2 * (scoreError + capError + EXP_ERROR) + (Math.min(keys, shape.window()) + 4) * U + halves)
                    * largest;
            comparison.compare(Arrays.toString(c), results[1], results[0], _ -> bound);
        }
        return comparison.result();
    }
}
