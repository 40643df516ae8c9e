package nibble.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Function;
import java.util.function.IntPredicate;
import nibble.datasets.BadDatasetException;
import nibble.datasets.TextDataset;
import nibble.datasets.Tokenizer;
import nibble.engine.Continuation;
import nibble.engine.LanguageModel;
import nibble.engine.ScoredContinuations;
import nibble.engine.backend.MissingRowException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PerplexityTest {
    private static final double LN2 = Math.log(2);

    @Test
    void a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary() {
        LanguageModel uniform = model(ids -> filled(ids.length - 1, (float) -Math.log(50)));
        PerplexityResult result = gptq(uniform, new int[40], 10);
        assertThat(result.perplexity()).isCloseTo(50, within(1e-5));
    }

    @Test
    void cross_entropy_is_averaged_over_windows_before_the_exponential() {
        // Probability 2^-id of each id: windows {0,1,2}, {3,4,5} score ids 1,2 and 4,5, 3 bits on average; 6 is
        // dropped.
        PerplexityResult result = gptq(model(PerplexityTest::halvings), new int[] {0, 1, 2, 3, 4, 5, 6}, 3);
        assertThat(result.perplexity()).isCloseTo(8, within(1e-6));
        assertThat(result.windows()).isEqualTo(2);
        assertThat(result.windowsInDataset()).isEqualTo(2);
        assertThat(result.tokensScored()).isEqualTo(4);
        assertThat(result.datasetTokens()).isEqualTo(7);
        assertThat(result.contextTokens()).isEqualTo(3);
        assertThat(result.recipe()).isEqualTo("gptq");
    }

    @Test
    void windows_are_cut_without_overlap_and_the_tail_is_dropped() {
        List<int[]> seen = new ArrayList<>();
        LanguageModel model = model(ids -> {
            seen.add(ids);
            return halvings(ids);
        });
        gptq(model, new int[] {1, 2, 3, 4, 5, 6, 7, 8}, 3);
        assertThat(seen).containsExactly(new int[] {1, 2, 3}, new int[] {4, 5, 6});
    }

    @Test
    void a_limit_measures_the_first_windows_only() {
        PerplexityResult result = Perplexity.gptq(
                model(PerplexityTest::halvings),
                new int[] {0, 1, 1, 0, 3, 3, 0, 9, 9},
                3,
                OptionalInt.of(2),
                PerplexityProgress.NONE);
        assertThat(result.windows()).isEqualTo(2);
        assertThat(result.windowsInDataset()).isEqualTo(3);
        assertThat(result.perplexity()).isCloseTo(4, within(1e-6));
        assertThat(Perplexity.gptq(
                                model(PerplexityTest::halvings),
                                new int[6],
                                3,
                                OptionalInt.of(100),
                                PerplexityProgress.NONE)
                        .windows())
                .isEqualTo(2);
    }

    @Test
    void progress_tells_windows_done_and_the_perplexity_so_far() {
        List<String> told = new ArrayList<>();
        Perplexity.gptq(
                model(PerplexityTest::halvings),
                new int[] {0, 1, 0, 3},
                2,
                OptionalInt.empty(),
                (done, windows, perplexity) -> told.add(done + "/" + windows + " " + Math.round(perplexity)));
        assertThat(told).containsExactly("1/2 2", "2/2 4");
    }

    @Test
    void small_differences_are_not_lost_over_many_windows() {
        // Summed in float, 1e6 terms of 1.1 would be off in the fourth digit.
        PerplexityResult result = gptq(model(ids -> filled(ids.length - 1, -1.1f)), new int[1_000_000], 1000);
        assertThat(result.perplexity()).isCloseTo(Math.exp(1.1f), within(1e-9));
    }

    @Test
    void nan_is_reported_with_its_window_and_never_averaged() {
        for (float broken : new float[] {Float.NaN, Float.NEGATIVE_INFINITY, Float.POSITIVE_INFINITY}) {
            LanguageModel model = model(ids -> {
                float[] values = halvings(ids);
                if (ids[0] == 7) {
                    values[1] = broken;
                }
                return values;
            });
            assertThatThrownBy(() -> gptq(model, new int[] {0, 1, 2, 7, 4, 5}, 3))
                    .isInstanceOf(NonFiniteLogProbabilityException.class)
                    .hasMessageContaining("window 1 (counted from 0), prediction 1, token 5 of the text")
                    .hasMessageContaining(Float.toString(broken));
        }
    }

    @Test
    void a_context_the_model_was_not_made_for_is_refused() {
        assertThatThrownBy(() -> gptq(model(PerplexityTest::halvings), new int[5000], 1025))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("1025")
                .hasMessageContaining("--context 1024");
        assertThatThrownBy(() -> gptq(model(PerplexityTest::halvings), new int[5000], 1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("at least 2");
    }

    @Test
    void a_text_shorter_than_one_window_is_refused_with_both_lengths() {
        assertThatThrownBy(() -> gptq(model(PerplexityTest::halvings), new int[9], 10))
                .isInstanceOf(BadDatasetException.class)
                .hasMessage("the text has 9 tokens, one window needs 10; give a longer text or a smaller --context");
    }

    @Test
    void no_windows_at_all_cannot_be_asked() {
        assertThatThrownBy(() -> Perplexity.gptq(
                        model(PerplexityTest::halvings), new int[9], 3, OptionalInt.of(0), PerplexityProgress.NONE))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void ids_the_model_does_not_have_tell_of_a_foreign_tokenizer() {
        assertThatThrownBy(() -> gptq(model(PerplexityTest::halvings), new int[] {0, 1, 50}, 3))
                .isInstanceOf(MissingRowException.class)
                .hasMessageContaining("token 2 of the text is id 50, the model has ids 0 to 49");
    }

    @Test
    void a_model_that_gives_too_few_values_is_an_error() {
        assertThatThrownBy(() -> gptq(model(ids -> new float[ids.length]), new int[6], 3))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("window 0");
    }

    @Test
    void a_text_file_is_encoded_once_with_one_bos(@TempDir Path folder) throws IOException {
        Path file = Files.writeString(folder.resolve("a.txt"), "\u0001\u0003\u0003\u0001\u0001");
        TextDataset text = TextDataset.file(file);
        // BOS is id 2: {2,1,3}, {3,1,1} score 1+3 and 1+1 bits.
        PerplexityResult result = Perplexity.gptq(
                model(PerplexityTest::halvings), characters(2), text, 3, OptionalInt.empty(), PerplexityProgress.NONE);
        assertThat(result.perplexity()).isCloseTo(Math.pow(2, 1.5), within(1e-6));
        assertThat(result.datasetTokens()).isEqualTo(6);
        assertThat(result.bos()).isTrue();
        assertThat(result.dataset()).isEqualTo(file.toString());
        assertThat(result.datasetForm()).isEqualTo("as_is");
        assertThat(result.datasetSha256()).isEqualTo(text.sha256());
    }

    @Test
    void json_is_in_snake_case_with_units_and_reads_back() throws IOException {
        ObjectMapper mapper = new ObjectMapper();
        PerplexityResult result = gptq(model(PerplexityTest::halvings), new int[] {0, 1, 0, 3}, 2);
        JsonNode bare = mapper.valueToTree(result);
        assertThat(bare.fieldNames())
                .toIterable()
                .containsExactly(
                        "perplexity",
                        "recipe",
                        "context_tokens",
                        "windows",
                        "windows_in_dataset",
                        "tokens_scored",
                        "dataset_tokens",
                        "wall_seconds");
        PerplexityResult named = result.of(new TextDataset("wikitext2", "", "rows_joined", "173c"), true);
        JsonNode whole = mapper.valueToTree(named);
        assertThat(whole.get("dataset").asText()).isEqualTo("wikitext2");
        assertThat(whole.get("dataset_form").asText()).isEqualTo("rows_joined");
        assertThat(whole.get("dataset_sha256").asText()).isEqualTo("173c");
        assertThat(whole.get("bos").asBoolean()).isTrue();
        assertThat(mapper.readValue(mapper.writeValueAsBytes(named), PerplexityResult.class))
                .isEqualTo(named);
    }

    private static PerplexityResult gptq(LanguageModel model, int[] ids, int context) {
        return Perplexity.gptq(model, ids, context, OptionalInt.empty(), PerplexityProgress.NONE);
    }

    /** Gives id k the probability 2^-k. */
    private static float[] halvings(int[] ids) {
        float[] values = new float[ids.length - 1];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (-LN2 * ids[i + 1]);
        }
        return values;
    }

    private static float[] filled(int length, float value) {
        float[] values = new float[length];
        java.util.Arrays.fill(values, value);
        return values;
    }

    /** A model of 50 ids and a context of 1024. */
    private static LanguageModel model(Function<int[], float[]> logProbabilities) {
        return new LanguageModel() {
            @Override
            public float[] logProbabilities(int[] ids) {
                return logProbabilities.apply(ids);
            }

            @Override
            public ScoredContinuations score(List<Continuation> continuations) {
                throw new UnsupportedOperationException();
            }

            @Override
            public int[] write(int[] prompt, int maxNewTokens, Set<Integer> stopIds, IntPredicate goesOn) {
                throw new UnsupportedOperationException();
            }

            @Override
            public int contextTokens() {
                return 1024;
            }

            @Override
            public int vocabularySize() {
                return 50;
            }

            @Override
            public void close() {}
        };
    }

    /** An id for each character, its code. */
    private static Tokenizer characters(int bosId) {
        return new Tokenizer() {
            @Override
            public int[] encode(String text, boolean bos) {
                return ((bos ? Character.toString(bosId) : "") + text).chars().toArray();
            }

            @Override
            public String decode(int[] ids) {
                throw new UnsupportedOperationException();
            }

            @Override
            public int vocabularySize() {
                return 50;
            }

            @Override
            public void close() {}
        };
    }
}
