package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
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
import nibble.files.output.StopSignal;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What method best reports of plain rounding and of AWQ is what those methods report. */
class FitReportTest {
    private static final Path MODEL =
            Path.of("..", "checkpoint", "src", "test", "resources", "architectures", "smollm");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    private List<QuantizationReport.Linear> linears(Method method) {
        Random random = new Random(4);
        int[][] blocks = new int[16][20];
        for (int[] block : blocks) {
            java.util.Arrays.setAll(block, i -> random.nextInt(256));
        }
        try (Checkpoint source = Checkpoint.open(MODEL);
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
        List<QuantizationReport.Linear> fitted = linears(Method.BEST);
        List<QuantizationReport.Linear> searched = linears(Method.AWQ);
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
}
