package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Objects;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.engine.Backends;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.cuda.CudaBackend;
import nibble.files.output.StoppedException;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The steps after the last layer on a card; skipped, with the reason, where there is none. */
@Tag("gpu")
class CudaTuningTest {
    private static final String CARD = "cuda:0";
    private static final String CARDS = "cuda:0,1";
    private static final int STEPS = 5;

    @TempDir
    private Path temp;

    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    private QuantizationReport run(String out, int steps, boolean resume, TuningTest.OnStep onStep) {
        return run(CARD, out, TuningTest.movingCodes(steps), resume, onStep);
    }

    private QuantizationReport run(
            String device, String out, QuantizeOptions options, boolean resume, TuningTest.OnStep onStep) {
        return TuningTest.run(device, temp.resolve(out), "qwen3", options, TuningTest.blocks(11), resume, onStep);
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

    /** Two cards take half of the sequences each, one takes one half after the other. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void two_cards_write_the_bytes_of_one(boolean codes) throws IOException {
        requireTwoCards();
        QuantizeOptions options = codes ? TuningTest.movingCodes(STEPS) : TuningTest.options(STEPS);
        run(CARD, "one", options, false, (step, stop) -> {});
        run(CARDS, "two", options, false, (step, stop) -> {});
        assertThat(TuningTest.contents(temp.resolve("two"))).isEqualTo(TuningTest.contents(temp.resolve("one")));
    }

    @ParameterizedTest
    @ValueSource(strings = {CARD, CARDS})
    void a_run_begun_on_one_or_two_cards_goes_on_with_the_others(String first) throws IOException {
        requireTwoCards();
        QuantizeOptions options = TuningTest.movingCodes(STEPS);
        run(CARD, "whole", options, false, (step, stop) -> {});
        assertThatThrownBy(() -> run(first, "out", options, false, (step, stop) -> {
                    if (step == 2) {
                        stop.raise();
                    }
                }))
                .isInstanceOf(StoppedException.class);
        run(first.equals(CARD) ? CARDS : CARD, "out", options, true, (step, stop) -> {});
        assertThat(TuningTest.contents(temp.resolve("out"))).isEqualTo(TuningTest.contents(temp.resolve("whole")));
    }

    private static void requireTwoCards() {
        try (QuantizationDevices devices = Backends.openForQuantization(CARDS, 2, 1L << 30)) {
            assertThat(devices.members()).hasSize(2);
        } catch (DeviceException e) {
            Assumptions.abort("two cards are needed: " + e.getMessage());
        }
    }
}
