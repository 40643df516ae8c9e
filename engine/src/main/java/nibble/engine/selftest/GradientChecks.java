package nibble.engine.selftest;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import nibble.checkpoint.model.layer.Activation;
import nibble.checkpoint.tensor.DType;
import nibble.engine.backend.Backend;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;

/**
 * Checks the operations of a backward pass. Operands are exact in the 11 bits that tensor cores use of them, so that
 * products differ by the order of their sums alone; what a card itself makes for a product is rounded to these bits.
 */
final class GradientChecks {
    /** Unit roundoff of fp32. */
    static final double U = 0x1p-24;
    /** Relative error of a fast exp, with some air. */
    static final double EXP_ERROR = 1e-6;

    private final List<GradientOperations> both;
    private final Backend backend;
    private final ReferenceBackend reference = new ReferenceBackend();
    /** Relative error of what is written for products. */
    private final double written;

    private final Operands operands = new Operands(13);

    /** @param written unit roundoff of what operations write for products */
    GradientChecks(Backend backend, double written) {
        this.backend = backend;
        this.both = List.of(reference.gradients(), backend.gradients());
        this.written = written;
    }

    List<Check> run() {
        List<Check> checks = new ArrayList<>(new WeightGradientChecks(both, written).run());
        checks.addAll(List.of(norms(), means(), normsBack(), headsBack(), gates(), divergences(), steps()));
        checks.addAll(new AttentionGradientChecks(both, written).run());
        return checks;
    }

    /** Returns results of the reference, then of the backend. */
    static float[][] results(List<GradientOperations> both, Function<GradientOperations, float[]> work) {
        return both.stream().map(work).toArray(float[][]::new);
    }

    private float[][] results(Function<GradientOperations, float[]> work) {
        return results(both, work);
    }

    /** Makes a matrix in which nothing may be read. */
    static Matrix poisoned(GradientOperations operations, int rows, int columns) {
        float[] values = new float[rows * columns];
        Arrays.fill(values, Float.NaN);
        return operations.layers().upload(values, rows, columns);
    }

    static float[] joined(float[]... parts) {
        int length = Arrays.stream(parts).mapToInt(part -> part.length).sum();
        float[] all = new float[length];
        int at = 0;
        for (float[] part : parts) {
            System.arraycopy(part, 0, all, at, part.length);
            at += part.length;
        }
        return all;
    }

    /** Makes a parameter that is tuned already. */
    static Parameter moved(GradientOperations operations, float[] start, float[] change) {
        Parameter parameter = operations.parameter(start);
        parameter.restore(new Parameter.State(change, new float[start.length], new float[start.length]));
        return parameter;
    }

    /** Draws changes of a few parts in a hundred. */
    static float[] changes(Operands operands, int n) {
        float[] changes = operands.values(n);
        for (int i = 0; i < n; i++) {
            changes[i] /= 64;
        }
        return changes;
    }

    /** rows, columns */
    private static final int[][] NORMS = {{1, 2}, {3, 37}, {130, 331}, {300, 64}, {7, 4096}, {2, 20008}};

    private Check norms() {
        Comparison comparison = new Comparison("norms with tuned gains");
        for (int[] s : NORMS) {
            float[] x = operands.values(s[0] * s[1]);
            float[] gain = operands.norm(s[1]);
            float[] changes = changes(operands, s[1]);
            float[][] results = results(operations -> {
                try (Parameter tuned = moved(operations, gain, changes);
                        Matrix in = operations.layers().upload(x, s[0], s[1]);
                        Matrix out = poisoned(operations, s[0], s[1])) {
                    operations.rmsNorm(in, tuned, 1e-5, out);
                    return operations.layers().download(out);
                }
            });
            comparison.compare(
                    Arrays.toString(s),
                    results[1],
                    results[0],
                    i -> ((s[1] / 2.0 + 8) * U + written) * Math.abs(results[0][i]));
        }
        return comparison.result();
    }

    private Check means() {
        Comparison comparison = new Comparison("rows without their mean");
        for (int[] s : NORMS) {
            float[] x = operands.values(s[0] * s[1]);
            for (int i = 0; i < x.length; i++) {
                x[i] += 3;
            }
            float[][] results = results(operations -> {
                try (Matrix in = operations.layers().upload(x, s[0], s[1])) {
                    operations.center(in);
                    return operations.layers().download(in);
                }
            });
            // Sums in double, so a mean of about 3 is rounded once to fp32, and each difference too.
            comparison.compare(Arrays.toString(s), results[1], results[0], i -> 4 * U * (3 + Math.abs(x[i])));
        }
        return comparison.result();
    }

    private Check normsBack() {
        Comparison comparison = new Comparison("gradient of norms");
        for (int[] s : NORMS) {
            NormCase norm = new NormCase(s[0], s[1], 1e-5, operands);
            float[] before = operands.values(s[0] * s[1]);
            float[][] results = results(operations -> {
                try (Parameter tuned = moved(operations, norm.gain, norm.changes);
                        Matrix in = operations.layers().upload(norm.x, s[0], s[1]);
                        Matrix dy = operations.layers().upload(norm.dy, s[0], s[1]);
                        Matrix dx = operations.layers().upload(before, s[0], s[1])) {
                    tuned.addGradient(norm.gain);
                    operations.addRmsNorm(in, tuned, 1e-5, dy, dx);
                    return joined(operations.layers().download(dx), tuned.gradient());
                }
            });
            comparison.compare(
                    Arrays.toString(s),
                    results[1],
                    results[0],
                    i -> norm.bound(i) + 2 * U * (i < before.length ? Math.abs(before[i]) : 2));
        }
        return comparison.result();
    }

    private Check headsBack() {
        Comparison comparison = new Comparison("gradient of norms of heads");
        // rows, heads, head size
        for (int[] s : new int[][] {{1, 1, 2}, {3, 5, 18}, {101, 4, 64}, {7, 8, 128}, {2, 3, 300}}) {
            NormCase norm = new NormCase(s[0] * s[1], s[2], 1e-6, operands);
            float[][] results = results(operations -> {
                try (Parameter tuned = moved(operations, norm.gain, norm.changes);
                        Matrix in = operations.layers().upload(norm.x, s[0], s[1] * s[2]);
                        Matrix gradient = operations.layers().upload(norm.dy, s[0], s[1] * s[2])) {
                    operations.rmsNormHeadsBack(in, tuned, 1e-6, gradient);
                    return joined(operations.layers().download(gradient), tuned.gradient());
                }
            });
            comparison.compare(Arrays.toString(s), results[1], results[0], norm::bound);
        }
        return comparison.result();
    }

    private Check gates() {
        Comparison comparison = new Comparison("gated units and their gradient");
        for (Activation activation : List.of(Activation.SILU, Activation.GELU_TANH)) {
            boolean silu = activation == Activation.SILU;
            double linear = silu ? 1 : 2 * Math.sqrt(2 / Math.PI);
            double cubic = silu ? 0 : linear * 0.044715;
            int n = 101 * 331;
            float[] gate = operands.values(n);
            for (int i = 0; i < 60; i++) {
                // From where nothing passes to where all does.
                gate[i * 7] = (i - 30) * 4;
            }
            float[] up = operands.values(n);
            float[] dOut = operands.values(n);
            float[][] results = results(operations -> {
                try (Matrix g = operations.layers().upload(gate, 101, 331);
                        Matrix u = operations.layers().upload(up, 101, 331);
                        Matrix d = operations.layers().upload(dOut, 101, 331);
                        Matrix out = poisoned(operations, 101, 331);
                        Matrix du = poisoned(operations, 101, 331)) {
                    operations.layers().glu(activation, g, u, out);
                    operations.glu(activation, g, u, d, d, du);
                    return joined(
                            operations.layers().download(out),
                            operations.layers().download(d),
                            operations.layers().download(du));
                }
            });
            comparison.compare(activation.name(), results[1], results[0], i -> {
                int at = i % n;
                double x = gate[at];
                double z = linear * x + cubic * x * x * x;
                double share = 1 / (1 + Math.exp(-z));
                // The sigmoid is wrong by exp's error and by that of z, which is relative.
                double relative = 4 * EXP_ERROR + 8 * U * (1 + Math.abs(z));
                return 1e-7 * EXP_ERROR
                        + switch (i / n) {
                            case 0 -> (relative + written) * Math.abs(results[0][i]);
                            case 1 ->
                                relative
                                        * Math.abs((double) dOut[at] * up[at])
                                        * (share + Math.abs(x) * share * (linear + 3 * cubic * x * x));
                            default -> relative * Math.abs(results[0][i]);
                        };
            });
        }
        return comparison.result();
    }

    private Check divergences() {
        Comparison comparison = new Comparison("divergence and its gradient");
        for (int[] s : new int[][] {{1, 3, 8}, {70, 131, 304}, {3, 1009, 64}, {70, 2048, 128}}) {
            DenseWeight head = operands.dense(DType.F16, s[1], s[2]);
            float[] f = operands.values(s[0] * s[2]);
            float[] x = operands.values(s[0] * s[2]);
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                Backend side = b == 0 ? reference : backend;
                GradientOperations operations = both.get(b);
                try (PlacedWeight placed = operations.place(head);
                        Matrix original = side.upload(f, s[0], s[2]);
                        Matrix quantized = operations.layers().upload(x, s[0], s[2]);
                        Matrix own = side.upload(x, s[0], s[2]);
                        Matrix dx = poisoned(operations, s[0], s[2])) {
                    float sum = (float) operations.divergence(placed.weight(), 0, original, quantized, 0.5f, dx);
                    float again = (float) operations.divergence(placed.weight(), 0, original, own, 0, null);
                    float same = (float) operations.divergence(placed.weight(), 0, own, quantized, 0, null);
                    results[b] = joined(operations.layers().download(dx), new float[] {sum, again, same});
                }
            }
            // Each logit is a product of k terms of size about 1/sqrt(k).
            double logitError = (s[2] + 2) * U * 4 * Math.sqrt(s[2]);
            double each = 4 * logitError + 2 * EXP_ERROR;
            // Shares sum to 1, and a weight of the head is below 5 / sqrt(k).
            comparison.compare(
                    Arrays.toString(s),
                    results[1],
                    results[0],
                    i -> i < x.length
                            ? 0.5 * 2 * (each + written + s[1] * U) * 5 / Math.sqrt(s[2])
                            : s[0] * 3 * each + 2 * U * Math.abs(results[0][i]));
        }
        return comparison.result();
    }

    /** Takes three steps, with gradients of all sizes. */
    private Check steps() {
        Comparison comparison = new Comparison("steps of Adam");
        int n = 1031;
        float[] start = operands.norm(n);
        List<float[]> gradients = new ArrayList<>();
        for (int step = 0; step < 3; step++) {
            float[] gradient = operands.values(n);
            for (int i = 0; i < n; i++) {
                gradient[i] *= (float) Math.pow(10, -(i % 12));
            }
            gradients.add(gradient);
        }
        float[][] results = results(operations -> {
            try (Parameter parameter = operations.parameter(start)) {
                for (int step = 0; step < 3; step++) {
                    parameter.addGradient(gradients.get(step));
                    parameter.move(
                            new Parameter.AdamStep(0.01, 1 - Math.pow(0.99, step + 1.0), 0.9, 0.99, 1e-12, -0.01f, 1f));
                }
                Parameter.State state = parameter.state();
                return joined(state.moved(), state.first(), state.second(), parameter.values(), parameter.gradient());
            }
        });
        // An order of doubles apart that fp32 rounds to its neighbour, three times.
        comparison.compare("[1031]", results[1], results[0], i -> 8 * U * Math.abs(results[0][i]) + 1e-10);
        return comparison.result();
    }
}
