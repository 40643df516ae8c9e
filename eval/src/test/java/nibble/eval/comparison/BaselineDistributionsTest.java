package nibble.eval.comparison;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Function;
import java.util.stream.Stream;
import nibble.datasets.BadDatasetException;
import nibble.datasets.TextDataset;
import nibble.datasets.Tokenizer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Divergences of distributions that can be worked out by hand. */
class BaselineDistributionsTest {
    private static final TextDataset TEXT = new TextDataset("text", "abababababab", "as_is", "cafe");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    /** Letters from a on; 0 leads. */
    private static final class Letters implements Tokenizer {
        private final int shift;

        Letters(int shift) {
            this.shift = shift;
        }

        @Override
        public int[] encode(String text, boolean bos) {
            return text.chars().map(c -> c - 'a' + shift).toArray();
        }

        @Override
        public String decode(int[] ids) {
            throw new UnsupportedOperationException();
        }

        @Override
        public int vocabularySize() {
            return 3;
        }

        @Override
        public void close() {}
    }

    /** The same distribution after every id. */
    private static Function<int[], float[]> always(double... probabilities) {
        return ids -> {
            float[] logits = new float[ids.length * probabilities.length];
            for (int i = 0; i < logits.length; i++) {
                logits[i] = (float) (7 + Math.log(probabilities[i % probabilities.length]));
            }
            return logits;
        };
    }

    private Divergence divergence(Function<int[], float[]> baseline, Function<int[], float[]> model, int windows) {
        try (BaselineDistributions kept =
                BaselineDistributions.of(baseline, new Letters(0), TEXT, 4, windows, folder, done -> {})) {
            return kept.of(model, new Letters(0), done -> {});
        }
    }

    @Test
    void kl_is_of_the_baseline_against_the_model_in_nats() throws IOException {
        Divergence d = divergence(always(0.5, 0.25, 0.25), always(0.25, 0.5, 0.25), 99);
        assertThat(d.windows()).isEqualTo(3);
        assertThat(d.predictions()).isEqualTo(9);
        assertThat(d.meanKl()).isEqualTo(0.5 * Math.log(2) + 0.25 * Math.log(0.5), within(1e-6));
        assertThat(d.kl99thPercentile()).isEqualTo(d.meanKl(), within(1e-6));
        assertThat(d.meanKlStderr()).isCloseTo(0, within(1e-9));
        assertThat(d.sameLikeliest()).isZero();
        // Each window "abab" predicts b, a, b.
        assertThat(d.baselinePerplexity()).isEqualTo(Math.pow(0.25 * 0.5 * 0.25, -1.0 / 3), within(1e-5));
        assertThat(d.perplexity()).isEqualTo(Math.pow(0.5 * 0.25 * 0.5, -1.0 / 3), within(1e-5));
        try (Stream<Path> left = Files.list(folder)) {
            assertThat(left).as("the temporary file is gone").isEmpty();
        }
    }

    @Test
    void a_model_is_at_no_distance_from_itself() {
        Divergence d = divergence(always(0.7, 0.2, 0.1), always(0.7, 0.2, 0.1), 1);
        assertThat(d.meanKl()).isCloseTo(0, within(1e-7));
        assertThat(d.sameLikeliest()).isOne();
        assertThat(d.meanKlStderr()).as("one window has no spread").isNull();
    }

    @Test
    void other_vocabularies_and_other_ids_are_refused() {
        assertThatThrownBy(() -> divergence(always(0.5, 0.5, 0), always(0.5, 0.5), 1))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("the baseline has 3 tokens, the model 2");
        try (BaselineDistributions kept =
                BaselineDistributions.of(always(0.5, 0.5, 0), new Letters(0), TEXT, 4, 1, folder, done -> {})) {
            assertThatThrownBy(() -> kept.of(always(0.5, 0.5, 0), new Letters(1), done -> {}))
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining("different ids");
        }
        assertThatThrownBy(() -> BaselineDistributions.of(always(1), new Letters(0), TEXT, 13, 1, folder, done -> {}))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("12 tokens, one window needs 13");
    }
}
