package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.Checkpoint;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.WeightRows;
import nibble.files.output.StopSignal;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What method best reports of plain rounding and of AWQ is what those methods report. */
class FitReportTest {
    private static final Path MODELS = Path.of("..", "checkpoint", "src", "test", "resources", "architectures");
    private static final Path MODEL = MODELS.resolve("smollm");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    private static int[][] blocks(int count, int length) {
        Random random = new Random(4);
        int[][] blocks = new int[count][length];
        for (int[] block : blocks) {
            java.util.Arrays.setAll(block, i -> random.nextInt(256));
        }
        return blocks;
    }

    private List<QuantizationReport.Linear> linears(Method method, int[][] blocks) {
        return linears(MODEL, method, blocks);
    }

    private List<QuantizationReport.Linear> linears(Path model, Method method, int[][] blocks) {
        try (Checkpoint source = Checkpoint.open(model);
                Backend backend = Backends.open("cpu", 2)) {
            return CheckpointQuantizer.quantize(
                            new QuantizationJob(
                                    source,
                                    Optional.of(new TokenBlocks(blocks, 1000, "random ids")),
                                    new QuantizeOptions(method, new QuantizationSpec(4, 32), 1 << 20, 2)),
                            temp.resolve(method.label()),
                            false,
                            QuantizationDevices.of(backend),
                            new ProgressListener() {},
                            new StopSignal())
                    .layers()
                    .getFirst()
                    .linears();
        }
    }

    /** q and k of the first layer: both methods see the same inputs there, and AWQ does not clip them. */
    @Test
    void errors_of_plain_rounding_and_awq_in_a_fits_report_are_those_methods_own() {
        int[][] all = blocks(16, 20);
        // The eighth and the last block are held back from the fit.
        int[][] seen = IntStream.range(0, 16)
                .filter(i -> i % 8 != 7)
                .mapToObj(i -> all[i])
                .toArray(int[][]::new);
        List<QuantizationReport.Linear> fitted = linears(Method.BEST, all);
        List<QuantizationReport.Linear> searched = linears(Method.AWQ, seen);
        for (int i = 0; i < 2; i++) {
            QuantizationReport.Linear fit = fitted.get(i);
            QuantizationReport.Linear awq = searched.get(i);
            assertThat(fit.name()).isEqualTo(awq.name()).matches(".*[qk]_proj");
            double rounding = Objects.requireNonNull(awq.rtnRelativeError());
            assertThat(fit.rtnRelativeError()).isCloseTo(rounding, withinPercentage(0.1));
            double ofAwq = Objects.requireNonNull(fit.fit()).awqRelativeError();
            assertThat(ofAwq).isCloseTo(Objects.requireNonNull(awq.relativeError()), withinPercentage(0.1));
            assertThat(fit.relativeError()).isLessThan(ofAwq);
        }
        assertThat(searched).allMatch(linear -> linear.fit() == null);
    }

    /** What the fit reports of text that it did not see: of q in layer 0, whose input nothing before has changed. */
    @Test
    void held_out_errors_are_those_of_the_written_weights() {
        int[][] all = blocks(16, 20);
        QuantizationReport.Linear fitted = linears(Method.BEST, all).getFirst();
        int[][] held = {all[7], all[15]};
        QuantizationReport.Fit fit = Objects.requireNonNull(fitted.fit());
        assertThat(fit.takenBack()).isFalse();
        try (Checkpoint source = Checkpoint.open(MODEL);
                Checkpoint made = Checkpoint.open(temp.resolve(Method.BEST.label()))) {
            double error = 0;
            double size = 0;
            for (int[] block : held) {
                float[][] outputs = {outputs(source, block), outputs(made, block)};
                for (int i = 0; i < outputs[0].length; i++) {
                    double lack = (double) outputs[0][i] - outputs[1][i];
                    error += lack * lack;
                    size += (double) outputs[0][i] * outputs[0][i];
                }
            }
            assertThat(Objects.requireNonNull(fit.heldOutError())).isCloseTo(error / size, withinPercentage(0.5));
            assertThat(fit.heldOutError()).isLessThan(Objects.requireNonNull(fit.heldOutAwqError()));
        }
    }

    /** What q of layer 0 gives for a block, in plain loops over the checkpoint's own tensors. */
    private static float[] outputs(Checkpoint checkpoint, int[] block) {
        ModelWeights weights = ModelWeights.read(checkpoint);
        DecoderLayer layer = weights.layers().getFirst();
        int hidden = checkpoint.config().hiddenSize();
        int out = layer.q().outFeatures();
        float[] outputs = new float[block.length * out];
        float[] x = new float[hidden];
        float[] row = new float[hidden];
        for (int t = 0; t < block.length; t++) {
            WeightRows.read(weights.embedding(), block[t], 0, hidden, x, 0);
            double squares = 0;
            for (float value : x) {
                squares += (double) value * value;
            }
            double r = 1 / Math.sqrt(squares / hidden + checkpoint.config().rmsNormEps());
            for (int n = 0; n < out; n++) {
                WeightRows.read(layer.q(), n, 0, hidden, row, 0);
                double sum = 0;
                for (int k = 0; k < hidden; k++) {
                    sum += x[k] * r * layer.inputNorm()[k] * row[k];
                }
                outputs[t * out + n] = (float) sum;
            }
        }
        return outputs;
    }

    /** Fourteen tokens say nothing of 96 columns: on other text the fit is worse than plain rounding. */
    @Test
    void a_linear_that_is_worse_on_text_it_has_not_seen_is_taken_back() {
        assertWorseOnesAreTakenBack(linears(Method.BEST, blocks(8, 2)));
    }

    /** Gate, up and down of experts too, of which some are not chosen by any token that is held back. */
    @ParameterizedTest
    @ValueSource(strings = {"mixtral", "qwen2-moe"})
    void so_is_one_of_an_expert(String model) {
        List<QuantizationReport.Linear> ofExperts = linears(MODELS.resolve(model), Method.BEST, blocks(8, 2)).stream()
                .filter(linear -> linear.name().contains("expert"))
                .toList();
        assertThat(ofExperts).hasSizeGreaterThan(12);
        assertWorseOnesAreTakenBack(ofExperts);
    }

    /** Outputs of other rows, or of another expert's weights, would be off by about their own size. */
    @Test
    void held_out_errors_of_experts_are_small_and_most_of_their_fits_stay() {
        List<QuantizationReport.Fit> fits = linears(MODELS.resolve("mixtral"), Method.BEST, blocks(16, 40)).stream()
                .filter(linear -> linear.name().contains("expert"))
                .map(linear -> Objects.requireNonNull(linear.fit()))
                .toList();
        assertThat(fits).allSatisfy(fit -> assertThat(fit.heldOutError()).isLessThan(0.2));
        assertThat(fits.stream().filter(QuantizationReport.Fit::takenBack).count())
                .isLessThan(fits.size() / 3);
    }

    private static void assertWorseOnesAreTakenBack(List<QuantizationReport.Linear> linears) {
        assertThat(linears)
                .anyMatch(linear -> Objects.requireNonNull(linear.fit()).takenBack());
        for (QuantizationReport.Linear linear : linears) {
            QuantizationReport.Fit fit = Objects.requireNonNull(linear.fit());
            assertThat(fit.takenBack())
                    .isEqualTo(
                            Objects.requireNonNull(fit.heldOutAwqError()) < Objects.requireNonNull(fit.heldOutError()));
            if (fit.takenBack()) {
                assertThat(linear.relativeError()).isEqualTo(fit.awqRelativeError());
                assertThat(fit.sweeps()).isZero();
            }
        }
    }

    @Test
    void a_text_of_fewer_than_eight_blocks_has_none_to_spare() {
        assertThat(linears(Method.BEST, blocks(7, 20))).allSatisfy(linear -> {
            QuantizationReport.Fit fit = Objects.requireNonNull(linear.fit());
            assertThat(fit.heldOutError()).isNull();
            assertThat(fit.takenBack()).isFalse();
        });
    }
}
