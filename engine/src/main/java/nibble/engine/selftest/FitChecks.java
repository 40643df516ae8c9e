package nibble.engine.selftest;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import nibble.checkpoint.tensor.DType;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceKind;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.VectorBackend;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.Fitted;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;
import nibble.pack.QuantizationSpec;

/** What method best asks of a device: differences, cross moments, and, on a card, whole fits against the host's. */
final class FitChecks {
    /** Unit roundoff of fp32. */
    private static final double U = 0x1p-24;
    /** Unit roundoff of the products of a card with C. */
    private static final double TENSOR = 0x1p-12;
    /**
     * Losses of all rows together, of two fits whose arithmetic differs. A weight in the middle between two codes goes
     * either way, and the columns after it go another way; that is luck of either sign, alike for all rows.
     */
    private static final double LUCK = 0.03;

    private final ReferenceBackend reference = new ReferenceBackend();
    private final Backend backend;
    private final double activation;
    private final Operands operands = new Operands(17);

    /** @param activation unit roundoff of the backend's activations */
    FitChecks(Backend backend, double activation) {
        this.backend = backend;
        this.activation = activation;
    }

    List<Check> run() {
        List<Check> checks = new ArrayList<>(List.of(differences(), squares(), crossMoments()));
        if (backend.kind() == DeviceKind.CUDA) {
            checks.addAll(fits());
        }
        return checks;
    }

    private Backend side(int b) {
        return b == 0 ? reference : backend;
    }

    private Check differences() {
        Comparison comparison = new Comparison("subtract");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {101, 331}, {2, 20011}}) {
            float[] x = operands.values(s[0] * s[1]);
            float[] y = operands.values(s[0] * s[1]);
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix first = side(b).upload(x, s[0], s[1]);
                        Matrix second = side(b).upload(y, s[0], s[1])) {
                    side(b).subtract(first, second, second);
                    results[b] = side(b).download(second);
                }
            }
            float[] expected = results[0];
            comparison.compare(Arrays.toString(s), results[1], expected, i -> (U + activation) * Math.abs(expected[i]));
        }
        return comparison.result();
    }

    private Check squares() {
        Comparison comparison = new Comparison("squares");
        for (int[] s : new int[][] {{1, 1}, {3, 37}, {101, 331}, {2, 20011}}) {
            float[] x = operands.values(s[0] * s[1]);
            float[][] results = new float[2][1];
            for (int b = 0; b < 2; b++) {
                try (Matrix matrix = side(b).upload(x, s[0], s[1])) {
                    results[b][0] = (float) side(b).squares(matrix);
                }
            }
            float expected = results[0][0];
            comparison.compare(Arrays.toString(s), results[1], results[0], i -> (2 * U + 2 * activation) * expected);
        }
        return comparison.result();
    }

    private Check crossMoments() {
        Comparison comparison = new Comparison("addCrossMoment");
        for (int[] s : new int[][] {{1, 3, 5}, {300, 70, 33}, {513, 33, 64}, {40, 131, 304}}) {
            float[] y = operands.values(s[0] * s[1]);
            float[] x = operands.values(s[0] * s[2]);
            float[][] results = new float[2][];
            for (int b = 0; b < 2; b++) {
                try (Matrix left = side(b).upload(y, s[0], s[1]);
                        Matrix right = side(b).upload(x, s[0], s[2]);
                        Matrix moment = side(b).allocateSingle(s[1], s[2])) {
                    side(b).addCrossMoment(left, right, moment);
                    side(b).addCrossMoment(left, right, moment);
                    results[b] = side(b).download(moment);
                }
            }
            float[] left = transposed(y, s[0], s[1]);
            float[] right = transposed(x, s[0], s[2]);
            comparison.compare(
                    Arrays.toString(s),
                    results[1],
                    results[0],
                    i -> 2
                            * (2 * s[0] + 3)
                            * U
                            * Comparison.sizeOfProduct(left, i / s[2] * s[0], right, i % s[2] * s[0], s[0]));
        }
        return comparison.result();
    }

    private static float[] transposed(float[] x, int rows, int columns) {
        float[] result = new float[x.length];
        for (int t = 0; t < rows; t++) {
            for (int c = 0; c < columns; c++) {
                result[c * rows + t] = x[t * columns + c];
            }
        }
        return result;
    }

    /** A linear, its inputs on two streams, and a basis. */
    private record Case(
            int out,
            int n,
            int group,
            boolean behind,
            DenseWeight weight,
            float[] quantized,
            float[] lack,
            Basis basis) {
        int tokens() {
            return quantized.length / n;
        }

        String name() {
            return "[" + out + ", " + n + "] group " + group + (behind ? " behind" : "");
        }
    }

    private List<Check> fits() {
        Comparison losses = new Comparison("loss of a fit, as reported");
        Comparison shares = new Comparison("propagated share of a fit");
        Comparison alike = new Comparison("loss of a fit, against the host's");
        int[][] shapes = {
            {40, 96, 32, 0}, {24, 64, -1, 1}, {264, 576, 64, 0}, {72, 576, 64, 1}, {136, 1536, 128, 0}, {48, 160, -1, 0}
        };
        for (int[] s : shapes) {
            Case c = example(s[0], s[1], s[2], s[3] == 1);
            FitSteps[] all = {
                new FitSteps(false, 9, false, 0, 0),
                new FitSteps(false, 1, true, 0, 0),
                new FitSteps(false, 9, true, 2, 4),
                FitSteps.ALL
            };
            Fitted[][] results = {fit(c, all, false), fit(c, all, true)};
            for (int i = 0; i < all.length; i++) {
                Fitted host = results[0][i];
                Fitted device = results[1][i];
                String name = c.name() + " " + all[i];
                float[] share = {(float) device.share()};
                shares.compare(name, share, new float[] {(float) host.share()}, _ -> 4 * activation);
                float[] found = {(float) device.loss(), (float) device.roundedLoss(), (float) device.weightError()};
                float[] expected = {(float) host.loss(), (float) host.roundedLoss(), (float) host.weightError()};
                // Range search alone differs only where two ranges are equally good.
                double luck = all[i].compensate() ? LUCK : 8 * activation;
                alike.compare(name, found, expected, j -> (j == 1 ? 8 * activation : luck) * expected[j]);
                if (!all[i].propagate()) {
                    double exact = loss(c, device);
                    // Roundings of errors and of C are of either sign.
                    losses.compare(name, found(device), new float[] {(float) exact}, _ -> 8 * TENSOR * exact);
                }
            }
        }
        return List.of(losses, shares, alike).stream().map(Comparison::result).toList();
    }

    private static float[] found(Fitted fitted) {
        return new float[] {(float) fitted.loss()};
    }

    /** Inputs with a common part, of sizes between 1/8 and 2, and what they lack; one input is always 0. */
    private Case example(int out, int n, int group, boolean behind) {
        int tokens = 3 * n;
        float[] x = operands.values(tokens * n);
        float[] common = operands.values(tokens);
        int rows = behind ? out : n;
        float[] lack = operands.values(tokens * rows);
        float[] columns = new float[n];
        for (int i = 0; i < n; i++) {
            columns[i] = 0.5f + i % 3;
        }
        for (int t = 0; t < tokens; t++) {
            for (int i = 0; i < n; i++) {
                float value = (common[t] * (i % 5) / 4 + x[t * n + i]) * (1 + i * 7 % 13) / 8;
                x[t * n + i] = i == 3 ? 0 : Float.float16ToFloat(Float.floatToFloat16(value));
            }
            for (int i = 0; i < rows; i++) {
                float value = 0.02f * lack[t * rows + i] + 0.1f * x[t * n + (i + 1) % n];
                lack[t * rows + i] = Float.float16ToFloat(Float.floatToFloat16(value));
            }
        }
        return new Case(out, n, group, behind, operands.dense(DType.F16, out, n), x, lack, Basis.ofColumns(columns));
    }

    private Fitted[] fit(Case c, FitSteps[] steps, boolean device) {
        DenseWeight other = operands.dense(DType.F16, 8, 8);
        DecoderLayer layer = new DecoderLayer(
                new float[8], c.weight(), c.weight(), c.weight(), other, new float[8], other, other, other);
        QuantizationSpec spec = new QuantizationSpec(4, c.group());
        Fitted[] results = new Fitted[steps.length];
        try (Backend host = new VectorBackend(Runtime.getRuntime().availableProcessors());
                LayerFeed feed = (device ? backend : host).feed(_ -> layer, 1)) {
            Backend here = device ? backend : host;
            Weight placed = feed.layer(0).q();
            try (LinearQuantizer quantizer = here.quantizer(placed, c.weight(), Path.of("weights"), spec);
                    PairedMoments moments = here.pairedMoments(c.n(), c.behind() ? c.out() : 0)) {
                int batch = (c.tokens() + 4) / 5;
                int rows = c.lack().length / c.tokens();
                for (int from = 0, half = 0; from < c.tokens(); from += batch, half = 1 - half) {
                    int count = Math.min(batch, c.tokens() - from);
                    try (Matrix x = here.upload(part(c.quantized(), from, count, c.n()), count, c.n());
                            Matrix l = here.upload(part(c.lack(), from, count, rows), count, rows)) {
                        moments.add(x, l, half);
                    }
                }
                for (int i = 0; i < steps.length; i++) {
                    results[i] = quantizer.fit(c.basis(), moments, steps[i]);
                }
            }
        }
        return results;
    }

    private static float[] part(float[] values, int from, int count, int columns) {
        return Arrays.copyOfRange(values, from * columns, (from + count) * columns);
    }

    /** {@code Σ e C eᵀ} of the codes found. */
    private static double loss(Case c, Fitted fitted) {
        float[] columns = Objects.requireNonNull(c.basis().columns());
        double loss = 0;
        float[] made = new float[c.n()];
        float[] was = new float[c.n()];
        for (int row = 0; row < c.out(); row++) {
            fitted.linear().dequantize(row, made, 0);
            WeightRows.read(c.weight(), row, 0, c.n(), was, 0);
            for (int t = 0; t < c.tokens(); t++) {
                double sum = 0;
                for (int i = 0; i < c.n(); i++) {
                    sum += (made[i] - was[i] * columns[i]) * c.quantized()[t * c.n() + i] / columns[i];
                }
                loss += sum * sum / c.tokens();
            }
        }
        return loss;
    }
}
