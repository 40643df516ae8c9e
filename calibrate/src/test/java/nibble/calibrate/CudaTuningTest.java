package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Objects;
import nibble.calibrate.job.QuantizationReport;
import nibble.engine.cuda.CudaBackend;
import nibble.files.output.StoppedException;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The steps after the last layer on a card; skipped, with the reason, where there is none. */
@Tag("gpu")
class CudaTuningTest {
    private static final String CARD = "cuda:0";
    private static final int STEPS = 5;

    @TempDir
    private Path temp;

    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    private QuantizationReport run(String out, int steps, boolean resume, TuningTest.OnStep onStep) {
        return TuningTest.run(
                CARD, temp.resolve(out), "qwen3", TuningTest.movingCodes(steps), TuningTest.blocks(11), resume, onStep);
    }

    /** The card judges with fp16 activations, the host with fp32. */
    @Test
    void the_reported_divergence_is_that_of_the_written_model() {
        QuantizationReport report = run("tuned", STEPS, false, (step, stop) -> {});

        QuantizationReport.Tuning tuning = Objects.requireNonNull(report.tuning());
        assertThat(tuning.steps()).isEqualTo(STEPS);
        double written = tuning.kept() ? tuning.divergenceAfter() : tuning.divergenceBefore();
        int[] heldBack = TuningTest.blocks(11).blocks()[7];
        assertThat(TuningTest.divergence(temp.resolve("tuned"), "qwen3", heldBack))
                .isCloseTo(written, within(0.02 * written + 1e-5));
    }

    @Test
    void a_run_stopped_at_any_step_ends_in_the_same_bytes() throws IOException {
        run("whole", STEPS, false, (step, stop) -> {});
        for (int last : new int[] {1, STEPS}) {
            String out = "out" + last;
            assertThatThrownBy(() -> run(out, STEPS, false, (step, stop) -> {
                        if (step == last) {
                            stop.raise();
                        }
                    }))
                    .isInstanceOf(StoppedException.class);
            int[] steps = new int[1];
            run(out, STEPS, true, (step, stop) -> steps[0]++);
            assertThat(steps[0]).isEqualTo(STEPS - last);
            assertThat(TuningTest.contents(temp.resolve(out))).isEqualTo(TuningTest.contents(temp.resolve("whole")));
        }
    }
}
