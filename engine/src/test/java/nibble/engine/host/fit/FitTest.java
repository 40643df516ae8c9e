package nibble.engine.host.fit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Workers;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.quantize.ScaledLinear;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.Fitted;
import nibble.engine.tensor.Matrix;
import nibble.pack.Grid;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Rounding;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The steps of a fit, each by what it promises, on sizes that fill no tile, block or panel. */
class FitTest {
    private final Random random = new Random(11);
    private final Workers workers = new Workers(2);
    private final Backend backend = new VectorBackend(2);

    @AfterEach
    void close() {
        workers.close();
        backend.close();
    }

    /** Correlated inputs of very different sizes, [tokens, n]. */
    private float[] inputs(int tokens, int n) {
        float[] x = new float[tokens * n];
        for (int t = 0; t < tokens; t++) {
            double common = random.nextGaussian();
            for (int i = 0; i < n; i++) {
                x[t * n + i] = (float) ((common * (i % 5) + random.nextGaussian()) * (1 + (i * 7 % 13)) / 8);
            }
        }
        return x;
    }

    private float[] weights(int out, int n) {
        float[] weights = new float[out * n];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = (float) (random.nextGaussian() * 0.05);
        }
        return weights;
    }

    /** @param behind what outputs lack; null where what inputs lack is taken */
    private HostPairedMoments moments(
            float[] quantized, float[] original, int n, float @Nullable [] behind, int hidden) {
        HostPairedMoments moments = new HostPairedMoments(backend, workers, n, behind == null ? 0 : hidden);
        int rows = behind == null ? n : hidden;
        float[] lack = behind == null ? original.clone() : behind;
        for (int i = 0; behind == null && i < lack.length; i++) {
            lack[i] -= quantized[i];
        }
        int tokens = quantized.length / n;
        int batch = tokens / 4;
        for (int i = 0; i < 4; i++) {
            int from = i * batch;
            try (Matrix q = backend.upload(Arrays.copyOfRange(quantized, from * n, (from + batch) * n), batch, n);
                    Matrix l =
                            backend.upload(Arrays.copyOfRange(lack, from * rows, (from + batch) * rows), batch, rows)) {
                moments.add(q, l, i % 2);
            }
        }
        return moments;
    }

    private FitInput input(float[] x, int n, QuantizationSpec spec) {
        try (HostPairedMoments moments = moments(x, x, n, null, 0)) {
            return moments.in(null, spec);
        }
    }

    private static RowTile tile(FitInput input, float[] weights, int n) {
        RowTile tile = new RowTile(input, weights.length / n);
        for (int row = 0; row < tile.rows; row++) {
            System.arraycopy(weights, row * n, tile.target, row * tile.stride, n);
        }
        return tile;
    }

    private static double loss(RowTile tile) {
        return Arrays.stream(tile.losses()).sum();
    }

    @ParameterizedTest
    @ValueSource(ints = {32, 96, 160, 288})
    void factor_times_its_transpose_is_the_inverse_of_the_damped_moment(int n) {
        float[] x = inputs(3 * n, n);
        FitInput input = input(x, n, new QuantizationSpec(4, 32));
        double[][] c = Samples.second(x, n);
        double mean = IntStream.range(0, n).mapToDouble(i -> c[i][i]).average().orElseThrow();
        double[][] damped = new double[n][n];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                damped[i][j] = c[input.order()[i]][input.order()[j]];
            }
            damped[i][i] += FitSteps.DAMPING * damped[i][i] + 1e-6 * mean;
        }
        for (int i = 0; i < n; i++) {
            assertThat(i == 0
                            || c[input.order()[i - 1]][input.order()[i - 1]]
                                    >= c[input.order()[i]][input.order()[i]] - 1e-4)
                    .isTrue();
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int k = 0; k < n; k++) {
                    double inverse = 0;
                    for (int l = 0; l <= Math.min(i, k); l++) {
                        inverse += (double) input.factor().at(l, i)
                                * input.factor().at(l, k);
                    }
                    sum += inverse * damped[k][j];
                }
                // fp32 factors of a matrix whose condition is at most n / damping, in its own scale.
                double scale = Math.sqrt(damped[j][j] / damped[i][i]);
                assertThat(sum / scale).isCloseTo(i == j ? 1 : 0, within(2e-3));
            }
        }
    }

    @Test
    void one_range_is_the_grid_of_plain_rounding() {
        int n = 96;
        FitInput input = input(inputs(200, n), n, new QuantizationSpec(4, 32));
        float[] weights = weights(5, n);
        RowTile tile = tile(input, weights, n);
        new RangeSearch(input, new QuantizationSpec(4, QuantizationSpec.WHOLE_ROW), 1).run(tile);
        tile.round();
        QuantizedLinear rounded = Rounding.round(
                Path.of("x"), "w", Arrays.copyOf(weights, 8 * n), 8, n, new QuantizationSpec(4, 32), null);
        for (int row = 0; row < 5; row++) {
            for (int i = 0; i < n; i++) {
                assertThat((int) tile.codes[row * tile.stride + i]).isEqualTo(rounded.code(row, i));
            }
        }
    }

    @Test
    void range_search_takes_the_pair_of_shares_with_the_least_loss_of_the_group() {
        int n = 64;
        QuantizationSpec spec = new QuantizationSpec(4, 32);
        float[] x = inputs(300, n);
        FitInput input = input(x, n, spec);
        float[] weights = weights(3, n);
        weights[5] = 1.5f;
        RowTile best = tile(input, weights, n);
        new RangeSearch(input, new QuantizationSpec(4, QuantizationSpec.WHOLE_ROW), 9).run(best);
        best.round();
        double[][] c = Samples.second(x, n);
        for (int group = 0; group < 2; group++) {
            double found = groupLoss(best, c, 0, group);
            for (int low = 0; low < 9; low++) {
                for (int high = 0; high < 9; high++) {
                    RowTile other = tile(input, weights, n);
                    new RangeSearch(input, new QuantizationSpec(4, QuantizationSpec.WHOLE_ROW), 1).run(other);
                    int slot = group;
                    float least = 0;
                    float greatest = 0;
                    for (int i = group * 32; i < group * 32 + 32; i++) {
                        least = Math.min(least, weights[i]);
                        greatest = Math.max(greatest, weights[i]);
                    }
                    Grid grid = Grid.spanning(least * (1 - 0.05f * low), greatest * (1 - 0.05f * high), 15);
                    other.scales[slot] = grid.scale();
                    other.zeros[slot] = grid.zero();
                    other.round();
                    assertThat(found).isLessThanOrEqualTo(groupLoss(other, c, 0, group) * (1 + 1e-4));
                }
            }
        }
    }

    private static double groupLoss(RowTile tile, double[][] c, int row, int group) {
        float[] errors = tile.errors();
        double loss = 0;
        for (int i = group * 32; i < group * 32 + 32; i++) {
            for (int j = group * 32; j < group * 32 + 32; j++) {
                loss += errors[row * tile.stride + i] * c[i][j] * errors[row * tile.stride + j];
            }
        }
        return loss;
    }

    @ParameterizedTest
    @CsvSource({"96, 32, 5", "160, 32, 16", "288, -1, 3", "576, 64, 7"})
    void compensation_lowers_the_loss_of_rounding_and_no_later_step_raises_it(int n, int group, int rows) {
        FitInput input = input(inputs(4 * n, n), n, new QuantizationSpec(4, group));
        float[] weights = weights(rows, n);
        RowTile rounded = tile(input, weights, n);
        new RangeSearch(input, new QuantizationSpec(4, QuantizationSpec.WHOLE_ROW), 1).run(rounded);
        rounded.round();
        RowTile tile = tile(input, weights, n);
        new RangeSearch(input, new QuantizationSpec(4, QuantizationSpec.WHOLE_ROW), 9).run(tile);
        CompensatedRounding.run(tile);
        double compensated = loss(tile);
        assertThat(compensated).isLessThan(0.8 * loss(rounded));
        CoordinateDescent.run(tile, 2);
        double descended = loss(tile);
        assertThat(descended).isLessThanOrEqualTo(compensated);
        ScaleRefit.run(tile);
        assertThat(loss(tile)).isLessThan(compensated);
        for (float code : tile.codes) {
            assertThat(code).isBetween(0f, 15f);
            assertThat(code).isEqualTo((float) Math.rint(code));
        }
    }

    @Test
    void columns_are_rounded_as_the_textbook_has_it() {
        int n = 160;
        QuantizationSpec spec = new QuantizationSpec(4, 32);
        FitInput input = input(inputs(500, n), n, spec);
        float[] weights = weights(3, n);
        RowTile tile = tile(input, weights, n);
        new RangeSearch(input, new QuantizationSpec(4, QuantizationSpec.WHOLE_ROW), 1).run(tile);
        CompensatedRounding.run(tile);
        int differ = 0;
        for (int row = 0; row < 3; row++) {
            double[] left = new double[n];
            for (int i = 0; i < n; i++) {
                left[i] = weights[row * n + input.order()[i]];
            }
            for (int i = 0; i < n; i++) {
                int column = input.order()[i];
                int slot = tile.slot(row, column);
                float code = tile.code((float) left[i], slot);
                differ += code == tile.codes[row * tile.stride + column] ? 0 : 1;
                double error = (left[i] - (code - tile.zeros[slot]) * tile.scales[slot])
                        / input.factor().at(i, i);
                for (int j = i + 1; j < n; j++) {
                    left[j] -= error * input.factor().at(i, j);
                }
            }
        }
        // Sums in another order may move a weight across the middle between two codes, and those after it.
        assertThat(differ).isLessThan(3 * n / 50);
    }

    @Test
    void no_single_code_can_be_moved_to_advantage_after_enough_sweeps() {
        int n = 96;
        float[] x = inputs(400, n);
        FitInput input = input(x, n, new QuantizationSpec(4, 32));
        RowTile tile = tile(input, weights(2, n), n);
        new RangeSearch(input, new QuantizationSpec(4, QuantizationSpec.WHOLE_ROW), 9).run(tile);
        tile.round();
        CoordinateDescent.run(tile, 60);
        double[] before = tile.losses();
        for (int row = 0; row < 2; row++) {
            for (int i = 0; i < n; i++) {
                int at = row * tile.stride + i;
                float code = tile.codes[at];
                for (float other : new float[] {code - 1, code + 1}) {
                    if (other >= 0 && other <= 15) {
                        tile.codes[at] = other;
                        assertThat(tile.losses()[row]).isGreaterThan(before[row] * (1 - 1e-3));
                    }
                }
                tile.codes[at] = code;
            }
        }
    }

    @Test
    void weights_move_to_undo_a_known_error_of_the_input_and_of_the_residual_stream() {
        int n = 64;
        int out = 24;
        int tokens = 4000;
        float[] quantized = inputs(tokens, n);
        float[] original = quantized.clone();
        float[] lack = new float[tokens * out];
        for (int t = 0; t < tokens; t++) {
            for (int i = 0; i < n; i++) {
                original[t * n + i] += 0.1f * quantized[t * n + (i + 1) % n];
            }
            for (int o = 0; o < out; o++) {
                lack[t * out + o] = 0.02f * quantized[t * n + o];
            }
        }
        float[] weights = weights(out, n);
        float[] behind = lack.clone();
        for (int at = 0; at < behind.length; at++) {
            for (int i = 0; i < n; i++) {
                int input = at / out * n + i;
                behind[at] += weights[at % out * n + i] * (original[input] - quantized[input]);
            }
        }
        try (HostPairedMoments moments = moments(quantized, original, n, behind, out)) {
            FitInput input = moments.in(null, new QuantizationSpec(4, 32));
            float[] moved = weights.clone();
            double share = new Propagation(workers, moments, input).move(weights, moved, out, null);
            assertThat(share).isBetween(0.9, 1.0);
            double left = 0;
            double was = 0;
            for (int t = 0; t < tokens; t++) {
                for (int o = 0; o < out; o++) {
                    double wanted = lack[t * out + o];
                    double plain = 0;
                    double made = 0;
                    for (int i = 0; i < n; i++) {
                        wanted += weights[o * n + i] * original[t * n + i];
                        plain += weights[o * n + i] * quantized[t * n + i];
                        made += moved[o * n + i] * quantized[t * n + i];
                    }
                    left += (wanted - made) * (wanted - made);
                    was += (wanted - plain) * (wanted - plain);
                }
            }
            assertThat(left).isLessThan(0.02 * was);
        }
    }

    @Test
    void weights_stay_where_the_streams_are_the_same() {
        int n = 64;
        float[] x = inputs(800, n);
        float[] weights = weights(8, n);
        try (HostPairedMoments moments = moments(x, x, n, null, 0)) {
            float[] moved = weights.clone();
            FitInput input = moments.in(null, new QuantizationSpec(4, 32));
            assertThat(new Propagation(workers, moments, input).move(weights, moved, 8, null))
                    .isZero();
            assertThat(moved).isEqualTo(weights);
        }
    }

    @ParameterizedTest
    @CsvSource({"96, 32, 40", "64, -1, 8", "288, 32, 24"})
    void a_fit_in_a_basis_has_the_same_bytes_with_any_number_of_threads(int n, int group, int out) {
        QuantizationSpec spec = new QuantizationSpec(4, group);
        float[] quantized = inputs(8 * n, n);
        float[] original = quantized.clone();
        for (int i = 0; i < original.length; i++) {
            original[i] += (float) (0.05 * random.nextGaussian());
        }
        float[] columns = new float[n];
        for (int i = 0; i < n; i++) {
            columns[i] = 0.5f + i % 3;
        }
        float[] weights = weights(out, n);
        ScaledLinear linear = new ScaledLinear(weights, out, n, Basis.ofColumns(columns));
        byte[] codes = null;
        short[] scales = null;
        for (int threads = 1; threads <= 3; threads++) {
            try (Workers some = new Workers(threads);
                    Backend here = new VectorBackend(threads);
                    HostPairedMoments moments = moments(quantized, original, n, null, 0)) {
                Fitted fitted = new HostFit(some, spec, FitSteps.ALL).fit(linear, "w", Path.of("x"), moments);
                assertThat(fitted.loss()).isLessThan(fitted.roundedLoss());
                assertThat(codes == null ? fitted.linear().codes() : codes)
                        .isEqualTo(fitted.linear().codes());
                assertThat(scales == null ? fitted.linear().scales() : scales)
                        .isEqualTo(fitted.linear().scales());
                codes = fitted.linear().codes();
                scales = fitted.linear().scales();
            }
        }
    }

    @Test
    void an_input_that_is_always_zero_does_no_harm() {
        int n = 64;
        float[] x = inputs(300, n);
        for (int t = 0; t < 300; t++) {
            x[t * n + 3] = 0;
            x[t * n + 40] = 0;
        }
        ScaledLinear linear = new ScaledLinear(weights(8, n), 8, n, Basis.ORIGINAL);
        try (HostPairedMoments moments = moments(x, x, n, null, 0)) {
            Fitted fitted = new HostFit(workers, new QuantizationSpec(4, 32), FitSteps.ALL)
                    .fit(linear, "w", Path.of("x"), moments);
            assertThat(fitted.loss()).isFinite().isLessThan(fitted.roundedLoss());
            assertThat(fitted.weightError()).isFinite();
        }
    }
}
