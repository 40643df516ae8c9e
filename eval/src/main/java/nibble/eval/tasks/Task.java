package nibble.eval.tasks;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import nibble.datasets.evaluation.EvaluationSet;
import nibble.files.NearNames;
import org.jspecify.annotations.Nullable;

/** Lists the tasks there are. What they ask is {@link Prompts}', what their answers are worth {@link Judgement}'s. */
public enum Task {
    ARC_CHALLENGE("arc_challenge", EvaluationSet.ARC_CHALLENGE_TEST, EvaluationSet.ARC_CHALLENGE_TRAIN, 25, 0),
    ARC_EASY("arc_easy", EvaluationSet.ARC_EASY_TEST, EvaluationSet.ARC_EASY_TRAIN, 0, 0),
    HELLASWAG("hellaswag", EvaluationSet.HELLASWAG_VALIDATION, EvaluationSet.HELLASWAG_TRAIN, 10, 0),
    MMLU("mmlu", EvaluationSet.MMLU_TEST, EvaluationSet.MMLU_DEV, 5, 0),
    TRUTHFULQA("truthfulqa", EvaluationSet.TRUTHFULQA_VALIDATION, null, 0, 0),
    WINOGRANDE("winogrande", EvaluationSet.WINOGRANDE_VALIDATION, EvaluationSet.WINOGRANDE_TRAIN, 5, 0),
    PIQA("piqa", EvaluationSet.PIQA_VALIDATION, EvaluationSet.PIQA_TRAIN, 0, 0),
    OPENBOOKQA("openbookqa", EvaluationSet.OPENBOOKQA_TEST, EvaluationSet.OPENBOOKQA_TRAIN, 0, 0),
    LAMBADA("lambada", EvaluationSet.LAMBADA_TEST, null, 0, 0),
    GSM8K("gsm8k", EvaluationSet.GSM8K_TEST, EvaluationSet.GSM8K_TRAIN, 5, 5),
    WIKITEXT("wikitext", EvaluationSet.WIKITEXT_TEST, null, 0, 0);

    private final String id;
    private final EvaluationSet documents;
    private final @Nullable EvaluationSet examples;
    private final int leaderboardShots;
    private final int harnessShots;

    Task(String id, EvaluationSet documents, @Nullable EvaluationSet examples, int leaderboardShots, int harnessShots) {
        this.id = id;
        this.documents = documents;
        this.examples = examples;
        this.leaderboardShots = leaderboardShots;
        this.harnessShots = harnessShots;
    }

    /** Returns the name in options and results. */
    public String id() {
        return id;
    }

    /** Returns the documents to measure on. */
    public EvaluationSet documents() {
        return documents;
    }

    /** Returns the documents that examples are drawn from; none where the harness has only the measured documents. */
    public Optional<EvaluationSet> examples() {
        return Optional.ofNullable(examples);
    }

    /** Returns the examples before each question if nothing else is said. */
    public int shots(Preset preset) {
        return switch (preset) {
            case LEADERBOARD_V1 -> leaderboardShots;
            case LM_EVAL_0_4_9_1, LM_EVAL_0_4_13 -> harnessShots;
        };
    }

    /** Returns whether examples make sense: TruthfulQA brings its own, wikitext has no questions. */
    public boolean takesShots() {
        return this != TRUTHFULQA && this != WIKITEXT;
    }

    public static Optional<Task> named(String id) {
        return Arrays.stream(values()).filter(t -> t.id.equals(id)).findFirst();
    }

    /** Returns the names most like {@code wrong}, nearest first. */
    public static List<String> nearest(String wrong) {
        return NearNames.of(wrong, Arrays.stream(values()).map(Task::id).toList());
    }
}
