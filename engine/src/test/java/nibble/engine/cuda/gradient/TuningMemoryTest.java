package nibble.engine.cuda.gradient;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import nibble.checkpoint.inspect.ModelShape;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.GradientOperations.Room;
import nibble.engine.gradient.DivergencePass;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Test;

/** Predictions against what was measured on an H100 (docs/benchmarks.md); no card is needed. */
class TuningMemoryTest {
    private static final ModelConfig LLAMA_2_70B =
            ModelShape.named("llama-2-70b").orElseThrow().config();
    /** Codes of 855 million weights, and 6.7 million zeros. */
    private static final long LAYER_CODES = 434_503_680L;

    private static Room room(ModelConfig config, long limit) {
        return memory(config).room(limit, false);
    }

    private static TuningMemory memory(ModelConfig config) {
        return new TuningMemory(config, new QuantizationSpec(4, 128), 2, 512, DivergencePass.tapeColumns(config));
    }

    /** 12 bytes for the position of a code and its moments: 78 GB for the 6.48 billion of llama-2-7b. */
    @Test
    void positions_of_codes_fit_or_codes_stay() {
        ModelConfig small = ModelShape.named("tiny").orElseThrow().config();
        ModelConfig large = ModelShape.named("llama-2-7b").orElseThrow().config();
        assertThat(memory(small).fitsCodes(8_000_000_000L)).isTrue();
        assertThat(memory(large).fitsCodes(84_300_000_000L)).isFalse();
        assertThat(memory(large).fitsCodes(150_000_000_000L)).isTrue();
        assertThat(memory(LLAMA_2_70B).fitsCodes(150_000_000_000L)).isFalse();
        Room room = memory(large).room(150_000_000_000L, true);
        assertThat(room.movesCodes()).isTrue();
        assertThat(room.codes()).isEqualTo(32);
        assertThat(room.device()).isBetween(12 * 6_476_005_376L, 150_000_000_000L);
        assertThatThrownBy(() -> memory(large).room(60_000_000_000L, true))
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("--fixed-codes");
    }

    @Test
    void all_codes_of_70b_stay_on_a_card_of_80_gigabytes() {
        Room room = room(LLAMA_2_70B, 84_300_000_000L);
        assertThat(room.codes()).isEqualTo(80);
        assertThat((double) room.device()).isCloseTo(57.33e9, within(0.05 * 57.33e9));
        assertThat(room.pinned()).isZero();
        assertThat(room.tapes()).isBetween(2, 20);
    }

    @Test
    void within_24_gigabytes_most_of_the_codes_come_from_the_host() {
        Room room = room(LLAMA_2_70B, 24_000_000_000L);
        assertThat(room.codes()).isBetween(8, 10);
        assertThat((double) room.device()).isCloseTo(23.62e9, within(0.05 * 23.62e9));
        assertThat(room.pinned()).isEqualTo((80 - room.codes()) * LAYER_CODES);
    }

    @Test
    void a_card_that_is_too_small_for_all_else_is_refused_with_what_helps() {
        assertThatThrownBy(() -> room(LLAMA_2_70B, 16_000_000_000L))
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("at least 18.4 GB of the card, 16.0 GB are left")
                .hasMessageContaining("--max-device-memory")
                .hasMessageContaining("--steps 0");
    }

    @Test
    void a_small_model_keeps_all() {
        ModelConfig small = ModelShape.named("tiny").orElseThrow().config();
        Room room = room(small, 8_000_000_000L);
        assertThat(room.codes()).isEqualTo(small.layers());
        assertThat(room.tapes()).isEqualTo(small.layers());
    }
}
