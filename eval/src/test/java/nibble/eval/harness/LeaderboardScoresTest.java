package nibble.eval.harness;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import nibble.eval.tasks.DatasetPart;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.GroupResult;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.TaskRecipe;
import nibble.eval.tasks.TaskResult;
import nibble.eval.tasks.Throughput;
import org.junit.jupiter.api.Test;

/** Scores computed by hand from the leaderboard's published rules; two of its own examples are among them. */
class LeaderboardScoresTest {
    private final List<TaskResult> tasks = new ArrayList<>();

    private void task(String name, int documents, MetricValue... metrics) {
        TaskRecipe recipe = new TaskRecipe(
                "lm-eval-0.4.13", new DatasetPart(name, "made", "aa", documents, null), 0, "", 0, false, 9, List.of());
        tasks.add(new TaskResult(name, null, recipe, List.of(metrics), 0, List.of()));
    }

    private void task(String name, String metric, double value, int documents) {
        task(name, documents, new MetricValue(metric, value, null, documents, true));
    }

    private List<GroupResult> scores() {
        return LeaderboardScores.of(new EvaluationResult(
                EvaluationResult.SCHEMA,
                "0",
                "m",
                "cpu",
                "lm-eval-0.4.13",
                false,
                null,
                tasks,
                List.of(),
                new Throughput(0, 0, 0, 0, 0, 0, 0, 0)));
    }

    private void bbh(double value, String... parts) {
        for (String part : parts) {
            task("leaderboard_bbh_" + part, "acc_norm", value, 250);
        }
    }

    private void all() {
        task(
                "leaderboard_ifeval",
                541,
                new MetricValue("prompt_level_strict_acc", 0.4, null, 541, true),
                new MetricValue("inst_level_strict_acc", 0.5, null, 541, true),
                new MetricValue("prompt_level_loose_acc", 0.9, null, 541, true));
        // Of two answers: (0.75 - 1/2) / (1/2) = 0.5.
        bbh(
                0.75,
                "boolean_expressions",
                "causal_judgement",
                "formal_fallacies",
                "hyperbaton",
                "navigate",
                "snarks",
                "sports_understanding",
                "web_of_lies");
        // Of three: (1/3 - 1/3) = 0; below the guess is 0 too.
        bbh(1.0 / 3, "disambiguation_qa", "logical_deduction_three_objects");
        bbh(0.1, "tracking_shuffled_objects_three_objects");
        // Of four: (0.4 - 0.25) / 0.75 = 0.2.
        bbh(0.4, "temporal_sequences");
        // Of five: (0.6 - 0.2) / 0.8 = 0.5.
        bbh(0.6, "logical_deduction_five_objects", "penguins_in_a_table", "tracking_shuffled_objects_five_objects");
        // Of six: (0.5 - 1/6) / (5/6) = 0.4.
        bbh(0.5, "date_understanding", "movie_recommendation", "ruin_names", "salient_translation_error_detection");
        // Of seven: (1 - 1/7) / (6/7) = 1.
        bbh(1, "logical_deduction_seven_objects", "tracking_shuffled_objects_seven_objects");
        // Of eleven: (6/11 - 1/11) / (10/11) = 0.5. Of eighteen: (18/36 - 2/36) / (17/18) = 8/17. Of nineteen: 1/18 of
        // 1/19.
        bbh(6.0 / 11, "geometric_shapes");
        bbh(0.5, "reasoning_about_colored_objects");
        bbh(2.0 / 19, "object_counting");
        // 0.3 · 100 and 0.1 · 300 documents: 0.15.
        for (String part : List.of("algebra", "counting_and_prob", "geometry", "num_theory", "prealgebra")) {
            task("leaderboard_math_" + part + "_hard", "exact_match", 0.15, 10);
        }
        task("leaderboard_math_intermediate_algebra_hard", "exact_match", 0.3, 100);
        task("leaderboard_math_precalculus_hard", "exact_match", 0.1, 300);
        // Of all documents: (0.25 · 198 + 0.5 · 546 + 0.25 · 448) / 1192; less 0.25 of it is 0.25 · 546 / 1192.
        task("leaderboard_gpqa_diamond", "acc_norm", 0.25, 198);
        task("leaderboard_gpqa_extended", "acc_norm", 0.5, 546);
        task("leaderboard_gpqa_main", "acc_norm", 0.25, 448);
        // The leaderboard's own example: 0.7 of 2, 0.4 of 5, 0.6 of 3 answers are 40.00, 25.00 and 40.00.
        task("leaderboard_musr_murder_mysteries", "acc_norm", 0.7, 250);
        task("leaderboard_musr_object_placements", "acc_norm", 0.4, 256);
        task("leaderboard_musr_team_allocation", "acc_norm", 0.6, 250);
        task("leaderboard_mmlu_pro", "acc", 0.55, 12032);
    }

    @Test
    void six_scores_and_their_average_as_the_leaderboard_normalizes_them() {
        all();

        List<GroupResult> scores = scores();

        assertThat(scores)
                .extracting(score -> score.group() + " " + score.shownMetric())
                .containsExactly(
                        "leaderboard_ifeval strict_acc, normalized",
                        "leaderboard_bbh acc_norm, normalized",
                        "leaderboard_math_hard exact_match, normalized",
                        "leaderboard_gpqa acc_norm, normalized",
                        "leaderboard_musr acc_norm, normalized",
                        "leaderboard_mmlu_pro acc, normalized",
                        "leaderboard average, normalized");
        double bbh = (8 * 0.5 + 0.2 + 3 * 0.5 + 4 * 0.4 + 2 + 0.5 + 8.0 / 17 + 1.0 / 18) / 24;
        double[] expected = {0.45, bbh, 0.15, 0.25 * 546 / 1192 / 0.75, 0.35, 0.5};
        double sum = 0;
        for (int i = 0; i < 6; i++) {
            assertThat(scores.get(i).value()).as(scores.get(i).group()).isCloseTo(expected[i], within(1e-12));
            sum += expected[i];
        }
        assertThat(scores.get(6).value()).isCloseTo(sum / 6, within(1e-12));
        assertThat(scores.get(1).documents()).isEqualTo(24 * 250);
        assertThat(scores).allSatisfy(score -> assertThat(score.stderr()).isNull());
    }

    @Test
    void the_published_example_of_GPQA_is_46_67() {
        task("leaderboard_gpqa_diamond", "acc_norm", 0.6, 198);
        task("leaderboard_gpqa_extended", "acc_norm", 0.6, 546);
        task("leaderboard_gpqa_main", "acc_norm", 0.6, 448);

        assertThat(scores())
                .singleElement()
                .satisfies(score -> assertThat(100 * score.value()).isCloseTo(46.67, within(0.005)));
    }

    @Test
    void a_benchmark_that_lacks_a_task_has_no_score_and_there_is_no_average() {
        all();
        tasks.removeIf(task -> task.task().equals("leaderboard_bbh_snarks"));

        assertThat(scores())
                .extracting(GroupResult::group)
                .containsExactly(
                        "leaderboard_ifeval",
                        "leaderboard_math_hard",
                        "leaderboard_gpqa",
                        "leaderboard_musr",
                        "leaderboard_mmlu_pro");
    }
}
