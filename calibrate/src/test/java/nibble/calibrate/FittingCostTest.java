package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import nibble.calibrate.job.Method;
import nibble.checkpoint.inspect.ModelShape;
import nibble.checkpoint.model.ModelConfig;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Test;

/** Predictions of method best against what was measured on a card (docs/benchmarks.md). */
class FittingCostTest {
    private static final ModelConfig LLAMA_2_70B =
            ModelShape.named("llama-2-70b").orElseThrow().config();
    private static final QuantizationSpec SPEC = new QuantizationSpec(4, 128);

    /** Floating-point operations a second that plan expected of that card. */
    private static final double RATE = 618e12;

    @Test
    void a_layer_of_70b_takes_the_time_that_was_measured() {
        QuantizationCost cost = QuantizationCost.onCuda(LLAMA_2_70B, Method.BEST, SPEC, 128, 4096);
        assertThat(cost.flops() / 80 / RATE).isCloseTo(12.44, within(0.15 * 12.44));
    }

    @Test
    void search_and_fit_do_not_depend_on_the_text_and_all_else_is_by_its_length() {
        QuantizationCost once = QuantizationCost.onCuda(LLAMA_2_70B, Method.BEST, SPEC, 32, 4096);
        QuantizationCost twice = QuantizationCost.onCuda(LLAMA_2_70B, Method.BEST, SPEC, 64, 4096);
        assertThat(twice.searchFlops()).isEqualTo(once.searchFlops());
        assertThat(twice.momentFlops()).isCloseTo(2 * once.momentFlops(), within(1e6));
        assertThat(twice.forwardFlops()).isCloseTo(2 * once.forwardFlops(), within(1e6));
        // Two streams in fp16 on the card, as twice as many bytes of fp32 in a file.
        assertThat(twice.streamBytes()).isEqualTo(2L * 64 * 4096 * 8192 * 4);
    }
}
