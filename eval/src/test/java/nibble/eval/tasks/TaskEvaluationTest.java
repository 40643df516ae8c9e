package nibble.eval.tasks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.IntPredicate;
import nibble.datasets.BadDatasetException;
import nibble.datasets.evaluation.EvaluationData;
import nibble.engine.Continuation;
import nibble.engine.LanguageModel;
import nibble.engine.ScoredContinuations;
import nibble.engine.backend.MissingRowException;
import nibble.eval.NonFiniteLogProbabilityException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TaskEvaluationTest {
    private static final Map<String, String> JOB = Map.of("model", "fake", "preset", "leaderboard-v1");

    @TempDir
    private Path temp;

    private final FakeModel model = new FakeModel(4000, 30_000);

    @Test
    void the_longest_documents_go_first_and_several_go_together() {
        run(List.of(Task.OPENBOOKQA, Task.WINOGRANDE), limit(40, true), ResultJournal.none());

        assertThat(model.passes)
                .hasSizeGreaterThan(2)
                .allSatisfy(pass -> assertThat(pass).hasSizeGreaterThan(4));
        int longest = model.passes.stream()
                .flatMap(List::stream)
                .mapToInt(c -> c.ids().length)
                .max()
                .orElseThrow();
        assertThat(model.passes.getFirst().stream()
                        .mapToInt(c -> c.ids().length)
                        .max())
                .hasValue(longest);
    }

    @Test
    void requests_longer_than_the_context_are_counted_and_lose_their_beginning() {
        FakeModel small = new FakeModel(300, 30_000);
        EvaluationResult result = TaskEvaluation.run(
                subject(small),
                List.of(Task.WINOGRANDE),
                limit(10, true),
                EvaluationData.bundled(),
                ResultJournal.none(),
                TaskProgress.NONE);

        TaskResult task = result.tasks().getFirst();
        assertThat(task.truncatedRequests()).isEqualTo(20);
        assertThat(task.documents())
                .allSatisfy(d -> assertThat(d.requests()).allSatisfy(r -> {
                    assertThat(r.truncatedTokens()).isPositive();
                    assertThat(r.contextTokens() + r.continuationTokens()).isEqualTo(301);
                }));
    }

    @Test
    void a_run_that_was_killed_goes_on_and_ends_alike() throws Exception {
        EvaluationResult undisturbed = run(List.of(Task.ARC_EASY, Task.GSM8K), limit(30, true), ResultJournal.none());
        Path file = temp.resolve("journal");
        List<List<Continuation>> all = List.copyOf(model.passes);
        model.passes.clear();

        TaskProgress killer = (_, done, _) -> {
            if (done > 12) {
                throw new IllegalStateException("killed");
            }
        };
        try (ResultJournal journal = ResultJournal.open(file, JOB)) {
            assertThatThrownBy(() -> TaskEvaluation.run(
                            subject(model),
                            List.of(Task.ARC_EASY, Task.GSM8K),
                            limit(30, true),
                            EvaluationData.bundled(),
                            journal,
                            killer))
                    .hasMessage("killed");
        }
        Files.writeString(
                file, "{\"task\":\"arc_easy\",\"result\":{\"docu", StandardCharsets.UTF_8, StandardOpenOption.APPEND);
        int before = model.passes.size();

        EvaluationResult resumed;
        try (ResultJournal journal = ResultJournal.open(file, JOB)) {
            assertThat(journal.entries()).isGreaterThan(12).isLessThan(60);
            resumed = run(List.of(Task.ARC_EASY, Task.GSM8K), limit(30, true), journal);
            assertThat(resumed.throughput().resumedDocuments()).isEqualTo(journal.entries());
            journal.delete();
        }

        assertThat(model.passes.size()).isLessThan(before + all.size());
        assertThat(resumed.tasks()).isEqualTo(undisturbed.tasks());
        assertThat(file).doesNotExist();
    }

    @Test
    void a_journal_of_another_run_or_in_use_is_refused() throws Exception {
        Path file = temp.resolve("journal");
        try (ResultJournal journal = ResultJournal.open(file, JOB)) {
            assertThat(journal.entries()).isZero();
            assertThatThrownBy(() -> ResultJournal.open(file, JOB))
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining("another run is writing this journal");
        }
        assertThatThrownBy(() -> ResultJournal.open(file, Map.of("model", "fake", "preset", "lm-eval-0.4.9.1")))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining(
                        "preset was leaderboard-v1, now it is lm-eval-0.4.9.1; delete the file to begin again");
        Files.writeString(file, "no journal\n");
        assertThatThrownBy(() -> ResultJournal.open(file, JOB))
                .hasMessageContaining("line 1")
                .hasMessageContaining("delete the file");
        Files.writeString(file, "");
        ResultJournal.open(file, JOB).close();
        Files.writeString(file, "{\"task\":1}\n", StandardOpenOption.APPEND);
        assertThatThrownBy(() -> ResultJournal.open(file, JOB)).hasMessageContaining("line 2");
    }

    @Test
    void without_sharing_each_request_goes_alone_and_the_figures_stay() {
        EvaluationResult shared = run(List.of(Task.TRUTHFULQA), limit(5, false), ResultJournal.none());
        EvaluationOptions options = new EvaluationOptions(
                Preset.LEADERBOARD_V1, OptionalInt.empty(), OptionalInt.of(5), false, false, false);
        model.passes.clear();
        EvaluationResult alone = run(List.of(Task.TRUTHFULQA), options, ResultJournal.none());

        assertThat(model.passes).allSatisfy(pass -> assertThat(pass).hasSize(1));
        assertThat(alone.tasks()).isEqualTo(shared.tasks());
        assertThat(alone.throughput().tokensComputed())
                .isEqualTo(alone.throughput().tokensWithoutSharing());
        assertThat(shared.throughput().tokensWithoutSharing())
                .isEqualTo(alone.throughput().tokensWithoutSharing());
    }

    @Test
    void what_differs_from_the_preset_is_written_down() {
        EvaluationOptions options =
                new EvaluationOptions(Preset.LEADERBOARD_V1, OptionalInt.of(2), OptionalInt.of(3), true, true, true);
        TaskRecipe recipe = run(List.of(Task.HELLASWAG), options, ResultJournal.none())
                .tasks()
                .getFirst()
                .recipe();

        assertThat(recipe.fewshot()).isEqualTo(2);
        assertThat(recipe.fewshotSource()).isEqualTo("measured");
        assertThat(recipe.dataset().partOf()).isEqualTo(10042);
        assertThat(recipe.deviations())
                .containsExactly(
                        "2 examples instead of 10",
                        "examples drawn from the measured documents instead of HellaSwag train",
                        "only 1000 of the 10042 documents of HellaSwag validation",
                        "at most 3 documents",
                        "a BOS id before every request");
    }

    @Test
    void examples_that_are_not_at_hand_are_an_error_that_names_the_ways_out() {
        assertThatThrownBy(() -> run(List.of(Task.GSM8K), limit(3, false), ResultJournal.none()))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("GSM8K train (7473 documents) is not bundled")
                .hasMessageContaining("--num-fewshot 0")
                .hasMessageContaining("--fewshot-from measured");
    }

    @Test
    void mmlu_is_measured_by_subjects() {
        EvaluationResult result = run(List.of(Task.MMLU), limit(1, false), ResultJournal.none());
        assertThat(result.tasks())
                .hasSize(57)
                .allSatisfy(t -> assertThat(t.group()).isEqualTo("mmlu"));
        assertThat(result.groups())
                .extracting(GroupResult::average)
                .containsExactly("mean_of_tasks", "weighted_by_documents");
        assertThat(result.groups()).allSatisfy(g -> assertThat(g.documents()).isEqualTo(57));
    }

    @Test
    void a_broken_model_and_a_strange_tokenizer_are_named() {
        model.broken = true;
        assertThatThrownBy(() -> run(List.of(Task.OPENBOOKQA), limit(3, false), ResultJournal.none()))
                .isInstanceOf(NonFiniteLogProbabilityException.class)
                .hasMessageContaining("openbookqa, document ");
        FakeModel few = new FakeModel(4000, 100);
        assertThatThrownBy(() -> TaskEvaluation.run(
                        subject(few),
                        List.of(Task.OPENBOOKQA),
                        limit(3, false),
                        EvaluationData.bundled(),
                        ResultJournal.none(),
                        TaskProgress.NONE))
                .isInstanceOf(MissingRowException.class)
                .hasMessageContaining("the model has ids 0 to 99");
    }

    private static EvaluationOptions limit(int limit, boolean fewShotFromMeasured) {
        return new EvaluationOptions(
                Preset.LEADERBOARD_V1, OptionalInt.empty(), OptionalInt.of(limit), false, fewShotFromMeasured, true);
    }

    private EvaluationResult run(List<Task> tasks, EvaluationOptions options, ResultJournal journal) {
        EvaluationData data = new EvaluationData(Optional.empty(), Optional.empty());
        return TaskEvaluation.run(subject(model), tasks, options, data, journal, TaskProgress.NONE);
    }

    private static EvaluatedModel subject(LanguageModel model) {
        return new EvaluatedModel("fake", "none", model, new CharacterTokenizer(), 1, 2, Set.of(2));
    }

    /** Log-probabilities made of the ids; writes a fixed answer. */
    private static final class FakeModel implements LanguageModel {
        private final int contextTokens;
        private final int vocabulary;
        private final List<List<Continuation>> passes = new ArrayList<>();
        private boolean broken;

        FakeModel(int contextTokens, int vocabulary) {
            this.contextTokens = contextTokens;
            this.vocabulary = vocabulary;
        }

        @Override
        public float[] logProbabilities(int[] ids) {
            throw new UnsupportedOperationException();
        }

        @Override
        public ScoredContinuations score(List<Continuation> continuations) {
            passes.add(continuations);
            List<ScoredContinuations.Score> scores = continuations.stream()
                    .map(c -> {
                        float value = broken ? Float.NaN : -1 - (Arrays.hashCode(c.ids()) & 0xffff) / 65536f;
                        float[] each = new float[c.scored()];
                        Arrays.fill(each, value);
                        return new ScoredContinuations.Score(each, (Arrays.hashCode(c.ids()) & 1) == 0);
                    })
                    .toList();
            return new ScoredContinuations(scores, Continuation.tokens(continuations), 1);
        }

        @Override
        public int[] write(int[] prompt, int maxNewTokens, Set<Integer> stopIds, IntPredicate goesOn) {
            int[] text = ("#### " + prompt.length % 100 + "\n\nQuestion: and so on")
                    .chars()
                    .toArray();
            int written = 0;
            while (written < text.length && goesOn.test(text[written++])) {}
            return Arrays.copyOf(text, written);
        }

        @Override
        public int tokensPerPass() {
            return 8000;
        }

        @Override
        public int contextTokens() {
            return contextTokens;
        }

        @Override
        public int vocabularySize() {
            return vocabulary;
        }

        @Override
        public void close() {}
    }
}
