package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.Rope;
import nibble.engine.backend.Backend;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.VectorBackend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SharedBeginningsTest {
    private static final ModelConfig CONFIG = RandomModel.config(new Rope.None(), 400);

    @Test
    void what_neighbours_begin_with_goes_through_the_model_once() {
        int[] shots = ids(1, 60);
        int[] question = join(shots, ids(2, 20));
        int[] other = join(shots, ids(3, 25));
        List<Continuation> continuations = List.of(
                continuation(question, 9),
                continuation(question, 5),
                continuation(question, 1),
                continuation(question, 1),
                continuation(other, 4),
                continuation(other, 7));

        PrefixTree tree = PrefixTree.of(continuations);

        // The last id of a text is only predicted.
        assertThat(tree.tokens()).isEqualTo(60 + 20 + 8 + 4 + 25 + 3 + 6);
        assertThat(Continuation.tokens(continuations)).isEqualTo(tree.tokens());
        assertThat(tree.longest()).isEqualTo(60 + 25 + 6);
        int[] rows = tree.ids();
        for (int i = 0; i < continuations.size(); i++) {
            int[] ids = continuations.get(i).ids();
            for (int p = 0; p < ids.length - 1; p++) {
                assertThat(rows[tree.row(i, p)]).isEqualTo(ids[p]);
                assertThat(tree.positions()[tree.row(i, p)]).isEqualTo(p);
            }
        }
    }

    @Test
    void a_few_ids_in_common_are_not_worth_sharing() {
        int[] few = ids(1, 15);
        assertThat(Continuation.tokens(List.of(
                        continuation(join(few, ids(2, 30)), 2), continuation(join(few, ids(3, 30)), 2))))
                .isEqualTo(2 * 46);
    }

    /** On the reference each row is computed by itself, so sharing must change nothing at all. */
    @ParameterizedTest
    @CsvSource({"reference, 2147483647", "cpu, 2147483647", "reference, 33", "cpu, 33"})
    void scores_are_those_of_each_text_alone(String device, int window) {
        List<Continuation> continuations = awkward();
        try (Backend backend = Backends.open(device, 2);
                Llama model =
                        Llama.of(RandomModel.weights(RandomModel.config(new Rope.None(), 400, window), 3), backend)) {
            ScoredContinuations together = model.score(continuations);

            assertThat(together.tokens()).isEqualTo(Continuation.tokens(continuations));
            for (int i = 0; i < continuations.size(); i++) {
                Continuation c = continuations.get(i);
                float[] whole = model.logProbabilities(c.ids());
                float[] expected = Arrays.copyOfRange(whole, whole.length - c.scored(), whole.length);
                float[] found = together.scores().get(i).logProbabilities();
                assertThat(found).as("continuation %d", i).hasSameSizeAs(expected);
                for (int t = 0; t < expected.length; t++) {
                    assertThat(found[t]).isCloseTo(expected[t], within(device.equals("cpu") ? 1e-4f : 0f));
                }
                assertThat(together.scores().get(i).greedy()).isEqualTo(likeliest(model, c));
            }
        }
    }

    @Test
    void a_text_the_model_would_write_itself_is_greedy() {
        try (Backend backend = new VectorBackend(2);
                Llama model = Llama.of(RandomModel.weights(CONFIG, 5), backend)) {
            int[] prompt = ids(4, 30);
            int[] written = Generator.generate(model, prompt, SamplingOptions.GREEDY, 5, java.util.Set.of(), _ -> {});
            int[] ids = join(prompt, written);
            int[] changed = ids.clone();
            changed[changed.length - 1] = (changed[changed.length - 1] + 1) % CONFIG.vocabularySize();

            List<ScoredContinuations.Score> scores = model.score(
                            List.of(new Continuation(ids, 5), new Continuation(changed, 5)))
                    .scores();

            assertThat(scores.get(0).greedy()).isTrue();
            assertThat(scores.get(1).greedy()).isFalse();
            assertThat(scores.get(0).logLikelihood())
                    .isGreaterThan(scores.get(1).logLikelihood());
        }
    }

    /** Beyond the trained length dynamic rope depends on the sequence's own length: such texts must not share. */
    @Test
    void texts_beyond_the_trained_length_of_dynamic_rope_keep_their_own_angles() {
        ModelConfig config = RandomModel.config(new Rope.DynamicNtk(2), 64);
        int[] shared = ids(6, 60);
        List<Continuation> continuations =
                List.of(continuation(shared, 20), continuation(shared, 10), continuation(shared, 2));
        try (Backend backend = new ReferenceBackend();
                Llama model = Llama.of(RandomModel.weights(config, 3), backend)) {
            ScoredContinuations together = model.score(continuations);
            assertThat(together.tokens()).isEqualTo(79 + 69 + 61);
            for (int i = 0; i < continuations.size(); i++) {
                assertThat(together.scores().get(i).logProbabilities())
                        .isEqualTo(model.score(continuations.subList(i, i + 1))
                                .scores()
                                .getFirst()
                                .logProbabilities());
            }
        }
    }

    @Test
    void operations_are_counted() {
        // One text of 3 rows, positions 0 to 2, one prediction: 2 layers, hidden 48, 6 and 2 heads of 8, MLP 88,
        // vocabulary 101.
        try (Backend backend = new VectorBackend(1);
                Llama model = Llama.of(RandomModel.weights(CONFIG, 3), backend)) {
            double linears = 2.0 * 3 * (48 * 48 + 2 * 48 * 16 + 48 * 48 + 3 * 48 * 88);
            double attention = 4.0 * 48 * (1 + 2 + 3);
            assertThat(model.score(List.of(new Continuation(new int[] {1, 2, 3, 4}, 1)))
                            .flops())
                    .isEqualTo(2 * (linears + attention) + 2.0 * 48 * 101);
        }
    }

    @Test
    void texts_that_cannot_be_scored_are_refused() {
        assertThatThrownBy(() -> new Continuation(new int[] {1, 2}, 2)).hasMessageContaining("2 of 2 ids to be scored");
        try (Backend backend = new VectorBackend(1);
                Llama model = Llama.of(RandomModel.weights(CONFIG, 1), backend)) {
            assertThat(model.score(List.of(new Continuation(new int[401], 1))).scores())
                    .hasSize(1);
            assertThatThrownBy(() -> model.score(List.of(new Continuation(new int[402], 1))))
                    .hasMessageContaining("context overflow: 401 tokens, the model was made for 400");
        }
    }

    /** Three levels, single ids, equal texts, a text that another begins with, a stranger. */
    private static List<Continuation> awkward() {
        int[] shots = ids(1, 77);
        int[] question = join(shots, ids(2, 33));
        int[] other = join(shots, ids(3, 18));
        List<Continuation> continuations = new ArrayList<>();
        for (int length : new int[] {1, 1, 40, 2, 17}) {
            continuations.add(continuation(question, length));
        }
        continuations.add(continuation(other, 3));
        continuations.add(continuation(other, 70));
        continuations.add(new Continuation(other, 5));
        continuations.add(continuation(ids(9, 5), 1));
        continuations.add(continuation(shots, 1));
        continuations.add(continuation(shots, 29));
        return continuations;
    }

    private static boolean likeliest(Llama model, Continuation c) {
        float[] logits = model.logits(Arrays.copyOf(c.ids(), c.ids().length - 1));
        int n = model.vocabularySize();
        for (int p = c.ids().length - c.scored(); p < c.ids().length; p++) {
            float[] row = Arrays.copyOfRange(logits, (p - 1) * n, p * n);
            if (new Sampler(SamplingOptions.GREEDY).next(row) != c.ids()[p]) {
                return false;
            }
        }
        return true;
    }

    private static Continuation continuation(int[] context, int length) {
        return new Continuation(join(context, ids(100L * context.length + length + COUNTER.nextInt(), length)), length);
    }

    private static final Random COUNTER = new Random(0);

    private static int[] ids(long seed, int n) {
        return RandomModel.ids(seed, n, CONFIG.vocabularySize());
    }

    private static int[] join(int[] a, int[] b) {
        int[] both = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, both, a.length, b.length);
        return both;
    }
}
