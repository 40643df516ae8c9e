package nibble.engine.batch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import nibble.checkpoint.Checkpoint;
import nibble.engine.ArchitecturesTest;
import nibble.engine.Backends;
import nibble.engine.Continuation;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.ScoredContinuations;
import nibble.engine.backend.Backend;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Texts that share blocks of the cache, and continuations that share a beginning, where layers attend differently. */
class BatchArchitecturesTest {
    static List<String> models() {
        return ArchitecturesTest.WRITING;
    }

    @ParameterizedTest
    @MethodSource("models")
    void texts_together_are_those_of_transformers(String name) {
        ArchitecturesTest.Expected expected = ArchitecturesTest.Expected.of(name);
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(name));
                Backend backend = Backends.open("cpu", 2);
                Llama model = Llama.load(checkpoint, backend);
                BatchScheduler scheduler = new BatchScheduler(model, new BatchOptions(4, 100, 1000, 40))) {
            // Longrope's texts end where its keys would have to turn anew.
            int length = Math.min(expected.greedy().length, scheduler.contextTokens() - expected.ids().length);
            List<Heard> heard = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                heard.add(new Heard());
                // Prompts that begin alike, the last ones with some of the text that is to come.
                int known = 5 * i;
                int[] prompt = IntStream.concat(
                                Arrays.stream(expected.ids()),
                                Arrays.stream(expected.greedy()).limit(known))
                        .toArray();
                scheduler.add(
                        new GenerationRequest(
                                prompt,
                                SamplingOptions.GREEDY,
                                length - known,
                                Set.of(),
                                GenerationRequest.NO_LOG_PROBABILITIES,
                                false),
                        heard.getLast());
            }
            scheduler.run();
            for (int i = 0; i < 4; i++) {
                assertThat(heard.get(i).ids())
                        .as("text %d", i)
                        .isEqualTo(Arrays.copyOfRange(expected.greedy(), 5 * i, length));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void continuations_of_one_beginning_score_as_each_alone(String name) {
        int[] ids = ArchitecturesTest.Expected.of(name).ids();
        List<Continuation> continuations = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            int[] text = Arrays.copyOf(ids, 24);
            text[20] += i;
            continuations.add(new Continuation(text, 5));
        }
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(name));
                Backend backend = Backends.open("cpu", 2);
                Llama model = Llama.load(checkpoint, backend)) {
            ScoredContinuations together = model.score(continuations);
            assertThat(together.tokens()).isLessThan(3 * 23);
            for (int i = 0; i < 3; i++) {
                float[] whole = model.logProbabilities(continuations.get(i).ids());
                float[] found = together.scores().get(i).logProbabilities();
                for (int t = 0; t < 5; t++) {
                    assertThat(found[t]).isCloseTo(whole[whole.length - 5 + t], within(1e-4f));
                }
            }
        }
    }
}
