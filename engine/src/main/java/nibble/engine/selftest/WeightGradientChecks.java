package nibble.engine.selftest;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.model.Linear;
import nibble.engine.backend.CodeStore;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.PlacedCodes;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.tensor.Matrix;
import nibble.pack.QuantizedLinear;

/** Checks weights of codes and tuned scales: their values, products with them both ways, gradients of scales. */
final class WeightGradientChecks {
    private static final double U = GradientChecks.U;
    /** rows, out, in, group size, bits */
    private static final int[][] LINEARS = {
        {1, 8, 32, 32, 4},
        {37, 40, 96, 32, 4},
        {130, 264, 320, 64, 4},
        {19, 24, 352, -1, 4},
        {300, 72, 640, 128, 4},
        {37, 40, 96, 32, 8},
        {130, 72, 256, 128, 8}
    };

    private final List<GradientOperations> both;
    /** Relative error of what is written for products. */
    private final double written;

    private final Operands operands = new Operands(19);

    WeightGradientChecks(List<GradientOperations> both, double written) {
        this.both = both;
        this.written = written;
    }

    List<Check> run() {
        return List.of(weights(), products(), scales(), positions(), moves(), streamedCodes());
    }

    private static float[] scales(QuantizedLinear linear) {
        float[] scales = new float[linear.scales().length];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = Float.float16ToFloat(linear.scales()[i]);
        }
        return scales;
    }

    private static PlacedCodes only(CodeStore store, QuantizedLinear linear) {
        store.add(Map.of(Linear.Q, linear));
        return store.layer(0, 0).values().iterator().next();
    }

    /** Checks the weight of codes and changed scales, read by a product with the identity. */
    private Check weights() {
        Comparison comparison = new Comparison("weights with tuned scales");
        for (int[] s : LINEARS) {
            QuantizedLinear linear = operands.quantized(s[1], s[2], s[3], s[4]).linear();
            float[] changes = GradientChecks.changes(operands, linear.scales().length);
            float[] unit = new float[s[2] * s[2]];
            for (int i = 0; i < s[2]; i++) {
                unit[i * (s[2] + 1)] = 1;
            }
            float[][] results = GradientChecks.results(both, operations -> {
                try (CodeStore store = operations.codes(1);
                        Parameter tuned = GradientChecks.moved(operations, scales(linear), changes);
                        PlacedWeight weight = operations.weight(only(store, linear), tuned);
                        Matrix x = operations.layers().upload(unit, s[2], s[2]);
                        Matrix out = GradientChecks.poisoned(operations, s[2], s[1])) {
                    operations.layers().linear(weight.weight(), x, out);
                    return operations.layers().download(out);
                }
            });
            comparison.compare(
                    Arrays.toString(s), results[1], results[0], i -> (written + 2 * U) * Math.abs(results[0][i]));
        }
        return comparison.result();
    }

    /** Goes forwards and backwards through two linears of one input. */
    private Check products() {
        Comparison comparison = new Comparison("linears and their gradient");
        for (int[] s : LINEARS) {
            QuantizedLinear first = operands.quantized(s[1], s[2], s[3], s[4]).linear();
            QuantizedLinear second = operands.quantized(24, s[2], s[3], s[4]).linear();
            float[] x = operands.values(s[0] * s[2]);
            float[] into = operands.values(s[0] * s[1]);
            float[] dy1 = operands.values(s[0] * s[1]);
            float[] dy2 = operands.values(s[0] * 24);
            float[][] results = GradientChecks.results(both, operations -> {
                try (CodeStore store = operations.codes(1);
                        CodeStore other = operations.codes(1);
                        Parameter scales1 = operations.parameter(scales(first));
                        Parameter scales2 = operations.parameter(scales(second));
                        PlacedWeight w1 = operations.weight(only(store, first), scales1);
                        PlacedWeight w2 = operations.weight(only(other, second), scales2);
                        Matrix in = operations.layers().upload(x, s[0], s[2]);
                        Matrix out = operations.layers().upload(into, s[0], s[1]);
                        Matrix d1 = operations.layers().upload(dy1, s[0], s[1]);
                        Matrix d2 = operations.layers().upload(dy2, s[0], 24);
                        Matrix dx = GradientChecks.poisoned(operations, s[0], s[2])) {
                    operations.layers().addLinear(w1.weight(), in, out);
                    operations.linears(List.of(w1.weight(), w2.weight()), List.of(d1, d2), dx);
                    return GradientChecks.joined(
                            operations.layers().download(out),
                            operations.layers().download(dx));
                }
            });
            float[] w1 = first.dequantize();
            float[] t1 = transposed(w1, s[1], s[2]);
            float[] t2 = transposed(second.dequantize(), 24, s[2]);
            // fp16 weights stand for sizes only: the true ones differ by 2^-11.
            comparison.compare(Arrays.toString(s), results[1], results[0], i -> {
                int at = i - into.length;
                double size = at < 0
                        ? Math.abs(into[i]) + Comparison.sizeOfProduct(x, i / s[1] * s[2], w1, i % s[1] * s[2], s[2])
                        : Comparison.sizeOfProduct(dy1, at / s[2] * s[1], t1, at % s[2] * s[1], s[1])
                                + Comparison.sizeOfProduct(dy2, at / s[2] * 24, t2, at % s[2] * 24, 24);
                return 1.01 * (written + (Math.max(s[1] + 24, s[2]) + 3) * U) * size;
            });
        }
        return comparison.result();
    }

    private static float[] transposed(float[] matrix, int rows, int columns) {
        float[] turned = new float[matrix.length];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) {
                turned[column * rows + row] = matrix[row * columns + column];
            }
        }
        return turned;
    }

    private Check scales() {
        Comparison comparison = new Comparison("gradient of scales");
        for (int[] s : LINEARS) {
            QuantizedLinear linear = operands.quantized(s[1], s[2], s[3], s[4]).linear();
            int groups = linear.groups();
            float[] dy = operands.values(s[0] * s[1]);
            float[] x = operands.values(s[0] * s[2]);
            float[] before = operands.values(linear.scales().length);
            float[][] results = GradientChecks.results(both, operations -> {
                try (CodeStore store = operations.codes(1);
                        Parameter tuned = operations.parameter(scales(linear));
                        Matrix left = operations.layers().upload(dy, s[0], s[1]);
                        Matrix right = operations.layers().upload(x, s[0], s[2])) {
                    tuned.addGradient(before);
                    operations.addScales(only(store, linear), left, right, tuned, null);
                    return tuned.gradient();
                }
            });
            comparison.compare(Arrays.toString(s), results[1], results[0], i -> {
                int row = i / groups;
                double size = Math.abs(before[i]);
                for (int k = i % groups * linear.groupSize(); k < (i % groups + 1) * linear.groupSize(); k++) {
                    int code = Math.abs(linear.code(row, k) - linear.zero(i));
                    for (int t = 0; t < s[0]; t++) {
                        size += Math.abs((double) dy[t * s[1] + row] * x[t * s[2] + k] * code);
                    }
                }
                return (s[0] + linear.groupSize() + 4) * U * size;
            });
        }
        return comparison.result();
    }

    private Check positions() {
        Comparison comparison = new Comparison("gradient of codes");
        for (int[] s : LINEARS) {
            QuantizedLinear linear = operands.quantized(s[1], s[2], s[3], s[4]).linear();
            float[] dy = operands.values(s[0] * s[1]);
            float[] x = operands.values(s[0] * s[2]);
            float[] before = operands.values(s[1] * s[2]);
            float[] changes = GradientChecks.changes(operands, linear.scales().length);
            float[][] results = GradientChecks.results(both, operations -> {
                try (CodeStore store = operations.codes(1);
                        Parameter tuned = GradientChecks.moved(operations, scales(linear), changes);
                        Matrix left = operations.layers().upload(dy, s[0], s[1]);
                        Matrix right = operations.layers().upload(x, s[0], s[2])) {
                    PlacedCodes codes = only(store, linear);
                    try (Parameter positions = operations.positions(codes)) {
                        positions.addGradient(before);
                        operations.addScales(codes, left, right, tuned, positions);
                        return positions.gradient();
                    }
                }
            });
            comparison.compare(Arrays.toString(s), results[1], results[0], i -> {
                int row = i / s[2];
                double size = 0;
                for (int t = 0; t < s[0]; t++) {
                    size += Math.abs((double) dy[t * s[1] + row] * x[t * s[2] + i % s[2]]);
                }
                // Scales are below 0.13, and a change is a small part of one.
                return (s[0] + 6) * U * 0.15 * size + 3 * U * Math.abs(before[i]);
            });
        }
        return comparison.result();
    }

    /** Moves codes by whole steps and checks the weights that they then give; positions must agree to the bit. */
    private Check moves() {
        Comparison comparison = new Comparison("codes that move");
        for (int bits : new int[] {4, 8}) {
            moves(comparison, operands.quantized(40, 96, 32, bits).linear());
        }
        return comparison.result();
    }

    private void moves(Comparison comparison, QuantizedLinear linear) {
        float[][] gradients = {operands.values(40 * 96), operands.values(40 * 96), operands.values(40 * 96)};
        float[][] results = GradientChecks.results(both, operations -> {
            List<float[]> parts = new ArrayList<>();
            try (CodeStore store = operations.codes(1);
                    Parameter scales = operations.parameter(scales(linear))) {
                PlacedCodes codes = only(store, linear);
                try (Parameter positions = operations.positions(codes)) {
                    parts.add(positions.values());
                    for (int step = 0; step < 3; step++) {
                        positions.addGradient(gradients[step]);
                        positions.move(new Parameter.AdamStep(
                                4, 1 - Math.pow(0.99, step + 1.0), 0.9, 0.99, 1e-20, -0.49f, linear.maxCode() + 0.49f));
                        parts.add(weights(operations, codes, scales));
                    }
                    Parameter.State state = positions.state();
                    positions.restore(new Parameter.State(parts.getFirst(), state.first(), state.second()));
                    parts.add(weights(operations, codes, scales));
                    parts.add(state.moved());
                    parts.add(state.first());
                    parts.add(state.second());
                }
            }
            return GradientChecks.joined(parts.toArray(float[][]::new));
        });
        int weights = 40 * 96;
        comparison.compare(
                linear.bits() + " bits [40, 96]",
                results[1],
                results[0],
                i -> i >= weights && i < 5 * weights ? (written + 2 * U) * Math.abs(results[0][i]) : 0);
    }

    /** The weight, by a product with the identity; a code more or less is far more than an error. */
    private static float[] weights(GradientOperations operations, PlacedCodes codes, Parameter scales) {
        int in = codes.inFeatures();
        float[] unit = new float[in * in];
        for (int i = 0; i < in; i++) {
            unit[i * (in + 1)] = 1;
        }
        try (PlacedWeight weight = operations.weight(codes, scales);
                Matrix x = operations.layers().upload(unit, in, in);
                Matrix out = GradientChecks.poisoned(operations, in, codes.outFeatures())) {
            operations.layers().linear(weight.weight(), x, out);
            return operations.layers().download(out);
        }
    }

    /** Uses layers of which most come from the host, up and down again. */
    private Check streamedCodes() {
        Comparison comparison = new Comparison("codes that come when they are used");
        List<QuantizedLinear> layers = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            layers.add(operands.quantized(40, 96, 32).linear());
        }
        int[] order = {0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0, 1, 2};
        float[] x = operands.values(7 * 96);
        float[][] results = GradientChecks.results(both, operations -> {
            List<float[]> parts = new ArrayList<>();
            try (CodeStore store = operations.codes(2);
                    Parameter scales = operations.parameter(scales(layers.getFirst()));
                    Matrix in = operations.layers().upload(x, 7, 96);
                    Matrix out = GradientChecks.poisoned(operations, 7, 40)) {
                layers.forEach(layer -> store.add(Map.of(Linear.Q, layer)));
                for (int i = 0; i < order.length; i++) {
                    int next = order[Math.min(i + 1, order.length - 1)];
                    PlacedCodes codes =
                            store.layer(order[i], next).values().iterator().next();
                    try (PlacedWeight weight = operations.weight(codes, scales)) {
                        operations.layers().linear(weight.weight(), in, out);
                        parts.add(operations.layers().download(out));
                    }
                }
            }
            return GradientChecks.joined(parts.toArray(float[][]::new));
        });
        // A scale is below 0.13 and a code within 15 of zero.
        comparison.compare(
                "5 layers", results[1], results[0], i -> (written + 99 * U) * 15 * 0.13 * sum(x, i / 40 % 7 * 96, 96));
        return comparison.result();
    }

    private static double sum(float[] x, int from, int count) {
        double sum = 0;
        for (int i = from; i < from + count; i++) {
            sum += Math.abs(x[i]);
        }
        return sum;
    }
}
