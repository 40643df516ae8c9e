package nibble.engine.gradient;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Map;
import java.util.Random;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.AttentionPass;
import nibble.engine.backend.Backend;
import nibble.engine.backend.CodeStore;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Matrices;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.PlacedCodes;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.VectorBackend;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The Vector API's backward operations against the reference's, on sizes that fill no panel. */
class GradientOperationsTest {
    /** What is done with both backends. */
    private interface Work {
        float[] of(Backend backend, GradientOperations operations);
    }

    @Test
    void linears() {
        float[] dy1 = values(1, 301 * 45);
        float[] dy2 = values(2, 301 * 264);
        DenseWeight w1 = DenseWeight.of("a", values(3, 45 * 83), 45, 83);
        DenseWeight w2 = DenseWeight.of("b", values(4, 264 * 83), 264, 83);
        assertSame(1e-5, (backend, operations) -> {
            Matrix dx = backend.upload(values(5, 301 * 83), 301, 83);
            operations.linears(
                    List.of(w1, w2), List.of(backend.upload(dy1, 301, 45), backend.upload(dy2, 301, 264)), dx);
            return backend.download(dx);
        });
    }

    @Test
    void scales_of_groups() {
        QuantizedLinear codes = codes(40, 96);
        assertSame(1e-5, (backend, operations) -> {
            Parameter into = operations.parameter(new float[40 * 3]);
            into.addGradient(values(6, 40 * 3));
            PlacedCodes placed = placed(codes, operations);
            operations.addScales(
                    placed,
                    backend.upload(values(7, 530 * 40), 530, 40),
                    backend.upload(values(8, 530 * 96), 530, 96),
                    into,
                    null);
            // A second one, smaller: nothing of the first may be left.
            operations.addScales(
                    placed,
                    backend.upload(values(7, 30 * 40), 30, 40),
                    backend.upload(values(8, 30 * 96), 30, 96),
                    into,
                    null);
            return into.gradient();
        });
    }

    @Test
    void positions_of_codes_and_three_moves_of_them() {
        QuantizedLinear codes = codes(40, 96);
        assertSame(1e-5, (backend, operations) -> {
            Parameter scales = operations.parameter(values(9, 40 * 3));
            PlacedCodes placed = placed(codes, operations);
            Parameter positions = operations.positions(placed);
            float[][] seen = new float[4][];
            for (int step = 0; step < 3; step++) {
                Matrix dy = backend.upload(values(20 + step, 130 * 40), 130, 40);
                operations.addScales(placed, dy, backend.upload(values(8, 130 * 96), 130, 96), scales, positions);
                seen[step] = positions.gradient();
                positions.move(
                        new Parameter.AdamStep(0.7, 1 - Math.pow(0.99, step + 1), 0.9, 0.99, 1e-20, -0.49f, 15.49f));
            }
            seen[3] = positions.values();
            assertThat(seen[3]).satisfies(values -> {
                for (float value : values) {
                    assertThat(value).isBetween(-0.49f, 15.49f);
                }
            });
            return joined(joined(seen[0], seen[1]), joined(seen[2], seen[3]));
        });
    }

    /** torch.optim.Adam(lr=0.02, betas=(0.9, 0.99), eps=1e-20), begun at 3 and 15. */
    @Test
    void moves_of_positions_are_those_of_pytorch() {
        try (Backend backend = new VectorBackend(1)) {
            GradientOperations operations = backend.gradients();
            QuantizedLinear linear = QuantizedLinear.blank(8, 32, new QuantizationSpec(4, 32));
            linear.codes()[0] = (byte) (3 | 15 << 4);
            Parameter positions = operations.positions(placed(linear, operations));
            float[][] gradients = {{1e-7f, -1e-9f}, {2e-7f, -1e-9f}, {-4e-7f, 3e-9f}};
            float[][] expected = {{2.98f, 15.02f}, {2.9607224f, 15.040001f}, {2.9645858f, 15.0350475f}};
            for (int step = 0; step < 3; step++) {
                float[] all = new float[positions.size()];
                System.arraycopy(gradients[step], 0, all, 0, 2);
                positions.addGradient(all);
                positions.move(new Parameter.AdamStep(
                        0.02 / (1 - Math.pow(0.9, step + 1)),
                        1 - Math.pow(0.99, step + 1),
                        0.9,
                        0.99,
                        1e-20,
                        -0.49f,
                        15.49f));
                assertThat(positions.values()[0]).isCloseTo(expected[step][0], within(1e-6f));
                assertThat(positions.values()[1]).isCloseTo(expected[step][1], within(1e-6f));
            }
            assertThat(linear.codes()[0]).as("the linear that was given").isEqualTo((byte) (3 | 15 << 4));
        }
    }

    @Test
    void the_weight_is_code_less_zero_times_scale() {
        QuantizedLinear codes = codes(8, 64);
        float[] scales = values(9, 16);
        assertSame(0, (backend, operations) -> {
            Matrix out = backend.allocate(64, 8);
            float[] unit = new float[64 * 64];
            for (int i = 0; i < 64; i++) {
                unit[i * 65] = 1;
            }
            Parameter tuned = operations.parameter(scales);
            try (PlacedWeight weight = operations.weight(placed(codes, operations), tuned)) {
                backend.linear(weight.weight(), backend.upload(unit, 64, 64), out);
            }
            float[] found = backend.download(out);
            assertThat(found[17 * 8 + 3]).isEqualTo((codes.code(3, 17) - codes.zeros()[6]) * scales[6]);
            return found;
        });
    }

    @Test
    void norms() {
        float[] gain = values(10, 83);
        assertSame(1e-5, (backend, operations) -> {
            Matrix dx = backend.upload(values(11, 130 * 83), 130, 83);
            Parameter tuned = operations.parameter(gain);
            tuned.addGradient(values(12, 83));
            operations.addRmsNorm(
                    backend.upload(values(13, 130 * 83), 130, 83),
                    tuned,
                    1e-5,
                    backend.upload(values(14, 130 * 83), 130, 83),
                    dx);
            return joined(backend.download(dx), tuned.gradient());
        });
    }

    @Test
    void norms_of_heads() {
        float[] gain = values(10, 24);
        assertSame(1e-5, (backend, operations) -> {
            Matrix gradient = backend.upload(values(11, 70 * 72), 70, 72);
            Parameter tuned = operations.parameter(gain);
            tuned.addGradient(values(12, 24));
            operations.rmsNormHeadsBack(backend.upload(values(13, 70 * 72), 70, 72), tuned, 1e-6, gradient);
            return joined(backend.download(gradient), tuned.gradient());
        });
    }

    @ParameterizedTest
    @CsvSource({
        "1, 150, 4, 2, 40, 2147483647",
        "3, 64, 2, 2, 64, 2147483647",
        "2, 333, 6, 2, 16, 50",
        "2, 7, 2, 1, 300, 3",
        "1, 1, 2, 1, 8, 2147483647"
    })
    void attention(int sequences, int length, int heads, int kvHeads, int headDim, int window) {
        AttentionShape shape = new AttentionShape(heads, kvHeads, headDim, window);
        int rows = sequences * length;
        int q = shape.queryColumns();
        int k = shape.keyColumns();
        assertSame(2e-5, (backend, operations) -> {
            Matrix query = backend.upload(values(15, rows * q), rows, q);
            Matrix keys = backend.upload(values(16, rows * k), rows, k);
            Matrix values = backend.upload(values(17, rows * k), rows, k);
            Matrix out = backend.allocate(rows, q);
            backend.attention(shape, sequences, query, 0, keys, values, out);
            Matrix dQuery = poisoned(backend, rows, q);
            Matrix dKeys = poisoned(backend, rows, k);
            Matrix dValues = poisoned(backend, rows, k);
            Matrix dOut = backend.upload(values(18, rows * q), rows, q);
            operations.attention(
                    shape, sequences, new AttentionPass(query, keys, values, out, dOut, dQuery, dKeys, dValues));
            return joined(backend.download(dQuery), joined(backend.download(dKeys), backend.download(dValues)));
        });
    }

    @ParameterizedTest
    @EnumSource(value = Activation.class, names = "CLAMPED_SWIGLU", mode = EnumSource.Mode.EXCLUDE)
    void gated_units(Activation activation) {
        float[] gate = values(19, 45 * 7);
        for (int i = 0; i < 40; i++) {
            // From where nothing passes to where all does.
            gate[i] = (i - 20) * 6;
        }
        assertSame(1e-6, (backend, operations) -> {
            Matrix dUp = poisoned(backend, 45, 7);
            Matrix dOut = backend.upload(values(20, 45 * 7), 45, 7);
            operations.glu(
                    activation,
                    backend.upload(gate, 45, 7),
                    backend.upload(values(21, 45 * 7), 45, 7),
                    dOut,
                    dOut,
                    dUp);
            return joined(backend.download(dOut), backend.download(dUp));
        });
    }

    @Test
    void divergence_of_distributions() {
        DenseWeight head = DenseWeight.of("head", values(22, 517 * 24), 517, 24);
        assertSame(2e-5, (backend, operations) -> {
            Matrix original = backend.upload(values(23, 75 * 24), 75, 24);
            Matrix x = backend.upload(values(24, 75 * 24), 75, 24);
            Matrix dx = poisoned(backend, 75, 24);
            double divergence = operations.divergence(head, 0, original, x, 0.5f, dx);
            assertThat(operations.divergence(head, 0, original, x, 0.5f, null)).isEqualTo(divergence);
            assertThat(operations.divergence(head, 0, x, x, 1, null)).isBetween(-1e-4, 1e-4);
            return joined(backend.download(dx), new float[] {(float) divergence / 75});
        });
    }

    @Test
    void threads_do_not_change_a_bit() {
        QuantizedLinear codes = codes(40, 96);
        float[][] results = new float[2][];
        for (int threads = 1; threads <= 2; threads++) {
            try (Backend backend = new VectorBackend(threads)) {
                GradientOperations operations = backend.gradients();
                Parameter into = operations.parameter(new float[40 * 3]);
                PlacedCodes placed = placed(codes, operations);
                Matrix dx = backend.allocate(700, 96);
                Matrix dy = backend.upload(values(7, 700 * 40), 700, 40);
                operations.addScales(placed, dy, backend.upload(values(8, 700 * 96), 700, 96), into, null);
                PlacedWeight weight = operations.weight(placed, operations.parameter(values(9, 120)));
                operations.linears(List.of(weight.weight()), List.of(dy), dx);
                results[threads - 1] = joined(into.gradient(), backend.download(dx));
            }
        }
        assertThat(results[1]).isEqualTo(results[0]);
    }

    private static void assertSame(double bound, Work work) {
        try (Backend reference = new ReferenceBackend();
                Backend vector = new VectorBackend(2)) {
            float[] expected = work.of(reference, reference.gradients());
            float[] found = work.of(vector, vector.gradients());
            assertThat(found).hasSameSizeAs(expected);
            double largest = 0;
            for (float value : expected) {
                largest = Math.max(largest, Math.abs(value));
            }
            for (int i = 0; i < found.length; i++) {
                double error = Math.abs(found[i] - expected[i]);
                // Written so that NaN fails.
                assertThat(error <= bound * largest)
                        .as("element %d: found %s, expected %s", i, found[i], expected[i])
                        .isTrue();
            }
        }
    }

    private static PlacedCodes placed(QuantizedLinear codes, GradientOperations operations) {
        CodeStore store = operations.codes(1);
        store.add(Map.of(Linear.Q, codes));
        return store.layer(0, 0).values().iterator().next();
    }

    private static Matrix poisoned(Matrices backend, int rows, int columns) {
        float[] values = new float[rows * columns];
        java.util.Arrays.fill(values, Float.NaN);
        return backend.upload(values, rows, columns);
    }

    private static float[] joined(float[] a, float[] b) {
        float[] all = java.util.Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, all, a.length, b.length);
        return all;
    }

    private static QuantizedLinear codes(int out, int in) {
        QuantizedLinear made = QuantizedLinear.blank(out, in, new QuantizationSpec(4, 32));
        Random random = new Random(3);
        random.nextBytes(made.codes());
        for (int i = 0; i < made.zeros().length; i++) {
            made.zeros()[i] = (byte) random.nextInt(16);
        }
        return made;
    }

    private static float[] values(long seed, int n) {
        Random random = new Random(seed);
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
