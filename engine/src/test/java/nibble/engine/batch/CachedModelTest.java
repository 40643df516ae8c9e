package nibble.engine.batch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import nibble.checkpoint.model.layer.Rope;
import nibble.engine.Backends;
import nibble.engine.Continuation;
import nibble.engine.Llama;
import nibble.engine.RandomModel;
import nibble.engine.SamplingOptions;
import nibble.engine.ScoredContinuations;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Texts of a run that share a cache are those of a cache of their own, to the last bit on the CPU. */
class CachedModelTest {
    @SuppressWarnings("NullAway.Init")
    private static Backend backend;

    @SuppressWarnings("NullAway.Init")
    private static Llama model;

    @BeforeAll
    static void open() {
        backend = Backends.open("cpu", 2);
        model = Llama.of(RandomModel.weights(RandomModel.config(new Rope.None(), 200), 3), backend);
    }

    @AfterAll
    static void close() {
        model.close();
        backend.close();
    }

    private static int[] ids(int seed, int count) {
        return new Random(seed).ints(count, 0, model.vocabularySize()).toArray();
    }

    private static int[] joined(int[]... parts) {
        return Arrays.stream(parts).flatMapToInt(Arrays::stream).toArray();
    }

    private static float[] alone(int[] ids) {
        try (CachedModel fresh = new CachedModel(model, CacheType.INT8)) {
            return fresh.logProbabilities(ids);
        }
    }

    @Test
    void a_window_has_the_same_bits_whatever_the_cache_held_before() {
        try (CachedModel shared = new CachedModel(model, CacheType.INT8)) {
            for (int length : new int[] {60, 60, 33, 150, 60}) {
                int[] window = ids(length, length);

                assertThat(shared.logProbabilities(window)).isEqualTo(alone(window));
            }
        }
    }

    /** Examples that all share, questions that some share, and a text of its own. */
    private static List<Continuation> questions() {
        int[] examples = ids(1, 70);
        List<Continuation> all = new ArrayList<>();
        for (int question = 0; question < 3; question++) {
            int[] asked = joined(examples, ids(10 + question, 20 + 9 * question));
            for (int answer = 0; answer < 4; answer++) {
                int count = 1 + 7 * answer;
                all.add(new Continuation(joined(asked, ids(100 + answer, count)), count));
            }
        }
        all.add(new Continuation(ids(7, 12), 3));
        return all;
    }

    @Test
    void ends_of_texts_have_the_same_bits_whatever_was_asked_before() {
        List<Continuation> questions = questions();
        List<Continuation> others = questions.subList(3, 6);
        try (CachedModel shared = new CachedModel(model, CacheType.INT8);
                CachedModel fresh = new CachedModel(model, CacheType.INT8)) {
            shared.logProbabilities(ids(3, 90));
            shared.score(questions);

            ScoredContinuations again = shared.score(others);
            ScoredContinuations first = fresh.score(others);

            assertThat(again.tokens()).isEqualTo(first.tokens());
            assertThat(again.flops()).isEqualTo(first.flops());
            assertThat(again.scores()).usingRecursiveComparison().isEqualTo(first.scores());
        }
    }

    @Test
    void ends_of_texts_that_share_their_beginnings_are_those_of_each_alone() {
        List<Continuation> questions = questions();
        try (CachedModel shared = new CachedModel(model, CacheType.INT8)) {
            List<ScoredContinuations.Score> found = shared.score(questions).scores();

            for (int i = 0; i < found.size(); i++) {
                float[] all = alone(questions.get(i).ids());
                float[] ends = found.get(i).logProbabilities();
                assertThat(ends).hasSize(questions.get(i).scored());
                for (int j = 0; j < ends.length; j++) {
                    // Rows of other texts beside it may change a sum's last bits.
                    assertThat(ends[j]).isCloseTo(all[all.length - ends.length + j], within(1e-4f));
                }
            }
        }
    }

    @Test
    void a_shared_beginning_is_computed_once() {
        List<Continuation> questions = questions();
        long all = questions.stream().mapToLong(c -> c.ids().length).sum();
        try (CachedModel shared = new CachedModel(model, CacheType.INT8)) {
            ScoredContinuations first = shared.score(questions);

            // 12 texts share 4 blocks of examples, and 4 each at least one more of the question.
            assertThat(first.tokens()).isLessThanOrEqualTo(all - 11 * 64 - 3 * 3 * 16);
            assertThat(first.flops()).isPositive();
            assertThat(Rounds.of(questions)).hasSize(3).first().isEqualTo(List.of(0, 12));
        }
    }

    @Test
    void the_device_s_own_precision_gives_what_the_model_gives_without_a_cache_of_blocks() {
        List<Continuation> questions = questions();
        try (CachedModel shared = new CachedModel(model, CacheType.AUTO)) {
            List<ScoredContinuations.Score> found = shared.score(questions).scores();
            List<ScoredContinuations.Score> expected = model.score(questions).scores();

            for (int i = 0; i < questions.size(); i++) {
                assertThat(found.get(i).greedy()).isEqualTo(expected.get(i).greedy());
                assertThat(found.get(i).logLikelihood())
                        .isCloseTo(expected.get(i).logLikelihood(), within(1e-3));
            }
        }
    }

    @Test
    void the_likeliest_continuation_is_greedy_and_another_is_not() {
        int[] prompt = ids(5, 40);
        try (CachedModel shared = new CachedModel(model, CacheType.INT8)) {
            int[] written = shared.write(prompt, 4, Set.of(), _ -> true);
            int[] other = written.clone();
            other[3] = (other[3] + 1) % model.vocabularySize();

            assertThat(shared.score(List.of(
                                    new Continuation(joined(prompt, written), 4),
                                    new Continuation(joined(prompt, other), 4)))
                            .scores())
                    .extracting(ScoredContinuations.Score::greedy)
                    .containsExactly(true, false);
        }
    }

    @Test
    void texts_written_together_are_those_of_each_alone() {
        List<int[]> prompts =
                IntStream.range(0, 5).mapToObj(i -> ids(i, 3 + 11 * i)).toList();
        int[][] found = new int[prompts.size()][];
        try (CachedModel shared = new CachedModel(model, CacheType.INT8)) {
            shared.score(questions());
            List<WantedText> texts = new ArrayList<>();
            for (int i = 0; i < found.length; i++) {
                int index = i;
                texts.add(new WantedText(prompts.get(i), 9, Set.of(), _ -> true, ids -> found[index] = ids));
            }
            BatchWriter.write(shared, texts);
        }

        for (int i = 0; i < found.length; i++) {
            List<Integer> alone = new ArrayList<>();
            SingleText.generateWhile(
                    model, CacheType.INT8, prompts.get(i), SamplingOptions.GREEDY, 9, Set.of(), alone::add);
            assertThat(Arrays.stream(found[i]).boxed().toList()).isEqualTo(alone);
        }
    }

    @Test
    void a_text_beyond_the_context_is_refused_and_the_next_is_scored() {
        int[] window = ids(2, 50);
        try (CachedModel shared = new CachedModel(model, CacheType.INT8)) {
            float[] before = shared.logProbabilities(window);

            assertThatThrownBy(() -> shared.logProbabilities(ids(2, 201)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("context overflow");
            assertThat(shared.logProbabilities(window)).isEqualTo(before);
        }
    }
}
