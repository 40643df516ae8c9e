package nibble.engine.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import nibble.checkpoint.inspect.ModelShape;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.CalibrationMemory;
import nibble.engine.backend.Streams;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Predictions against what was measured on an H100 (docs/benchmarks.md). */
class CudaCalibrationTest {
    private static final ModelConfig LLAMA_2_70B =
            ModelShape.named("llama-2-70b").orElseThrow().config();

    @Test
    void deviceMemoryOf70bIsPredicted() {
        CalibrationMemory peak = CudaCalibration.peak(LLAMA_2_70B, Streams.ONE, 128, 4096, 84_300_000_000L);
        assertThat((double) peak.device()).isCloseTo(24.50e9, within(0.15 * 24.50e9));
        assertThat(peak.pinned()).isZero();
    }

    @Test
    void onASmallCardTheStreamIsPinnedOnTheHost() {
        CalibrationMemory peak = CudaCalibration.peak(LLAMA_2_70B, Streams.ONE, 128, 4096, 23_900_000_000L);
        assertThat((double) peak.device()).isCloseTo(16.45e9, within(0.15 * 16.45e9));
        assertThat(peak.pinned()).isEqualTo(2L * 128 * 4096 * 8192);
    }

    @Test
    void deviceMemoryOfMethodBestIsPredictedWithAndWithoutALimit() {
        CalibrationMemory free = CudaCalibration.peak(LLAMA_2_70B, Streams.PAIR, 128, 4096, 84_300_000_000L);
        assertThat((double) free.device()).isCloseTo(43.19e9, within(0.15 * 43.19e9));
        assertThat(free.pinned()).isZero();
        CalibrationMemory limited = CudaCalibration.peak(LLAMA_2_70B, Streams.PAIR, 128, 4096, 24_000_000_000L);
        assertThat((double) limited.device()).isCloseTo(22.65e9, within(0.15 * 22.65e9));
        assertThat(limited.pinned()).isEqualTo(2 * 2L * 128 * 4096 * 8192);
    }

    /** All 128 have C, two N of what inputs lack, and C's factor at a time: 18 bytes for each of 2048² elements. */
    @Test
    void methodBestHasTheMomentsOfAllExpertsOfALayerTogether() {
        ModelConfig mixture = ModelShape.named("qwen3-30b-a3b").orElseThrow().config();
        long best = CudaCalibration.peak(mixture, Streams.PAIR, 128, 2048, 84_300_000_000L)
                .device();
        long awq = CudaCalibration.peak(mixture, Streams.ONE, 128, 2048, 84_300_000_000L)
                .device();
        assertThat(awq).isBetween(10_000_000_000L, 13_000_000_000L);
        assertThat(best - awq).isGreaterThan(128L * 18 * 2048 * 2048 - 128L * 8 * (2048 * 2048 + 768 * 768));
        assertThat(best).isGreaterThan(128L * 18 * 2048 * 2048 + 3L * 128 * 3 * 2048 * 768 * 2);
    }

    /**
     * Two layers of 1.2 GB fit a third of 12 GB, and not of 6. The rest of a layer has 0.04 GB. Beside all else 6 GB
     * also have no room for C of 128 gates and ups of 33.6 MB each: 43 are there at a time.
     */
    @Test
    void onASmallCardExpertsStayOnTheHost() {
        ModelConfig mixture = ModelShape.named("qwen3-30b-a3b").orElseThrow().config();
        CalibrationMemory large = CudaCalibration.peak(mixture, Streams.ONE, 8, 2048, 12_000_000_000L);
        CalibrationMemory small = CudaCalibration.peak(mixture, Streams.ONE, 8, 2048, 6_000_000_000L);
        assertThat(large.expertsOnHost()).isFalse();
        assertThat(small.expertsOnHost()).isTrue();
        assertThat(large.expertTurns()).isEqualTo(1);
        assertThat(small.expertTurns()).isEqualTo(3);
        // What goes into the MLPs has two places more.
        double places = 2 * 2.0 * 16384 * 2048;
        assertThat((double) large.device() - small.device()).isCloseTo(2.4e9 + 85 * 33.6e6 - places, within(0.1e9));
        assertThat(small.device()).isLessThan(6_000_000_000L);
        assertThat(small.pinned() - large.pinned()).isEqualTo(2L * 8 * 2048 * 2048);
        assertThat(CudaCalibration.peak(LLAMA_2_70B, Streams.ONE, 8, 2048, 3_000_000_000L)
                        .expertsOnHost())
                .isFalse();
    }

    /**
     * All moments of DeepSeek-V3's gates and ups have 106 GB, and 239 GB for method best; those of DeepSeek-V2 34 and
     * 76. An H100 has 80.
     */
    @ParameterizedTest
    @CsvSource({"deepseek-v2, ONE, 1", "deepseek-v2, PAIR, 3", "deepseek-v3, ONE, 3", "deepseek-v3, PAIR, 5"})
    void momentsOfManyWideExpertsTakeTurnsSoThatTheyFit(String shape, Streams streams, int turns) {
        ModelConfig mixture = ModelShape.named(shape).orElseThrow().config();
        CalibrationMemory peak = CudaCalibration.peak(mixture, streams, 128, 2048, 79_000_000_000L);
        assertThat(peak.device()).isBetween(40_000_000_000L, 79_000_000_000L);
        assertThat(peak.expertTurns()).isEqualTo(turns);
    }

    @Test
    void halfOfASymmetricProductIsLeftOutButForTheStripsOfTheDiagonal() {
        assertThat(CudaCalibration.productShare(1024)).isEqualTo(1);
        assertThat(CudaCalibration.productShare(4096)).isEqualTo(0.75);
        assertThat(CudaCalibration.productShare(28_672)).isCloseTo(0.5 + 0.5 / 14, within(1e-12));
    }
}
