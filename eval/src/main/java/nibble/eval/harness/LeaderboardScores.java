package nibble.eval.harness;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.GroupResult;
import nibble.eval.tasks.MetricValue;

/**
 * Normalizes the figures of the second Open LLM Leaderboard's tasks as it publishes them: 0 for what guessing gives or
 * less, 1 for answers that are all right. A score needs all tasks of its benchmark, the average all six benchmarks.
 *
 * <p>Source of the rules: the leaderboard's documentation, page "Scores Normalization".
 */
final class LeaderboardScores {
    /** How many answers a question of each task of BIG-Bench Hard has. */
    private static final Map<String, Integer> BBH = Map.ofEntries(
            Map.entry("boolean_expressions", 2),
            Map.entry("causal_judgement", 2),
            Map.entry("date_understanding", 6),
            Map.entry("disambiguation_qa", 3),
            Map.entry("formal_fallacies", 2),
            Map.entry("geometric_shapes", 11),
            Map.entry("hyperbaton", 2),
            Map.entry("logical_deduction_five_objects", 5),
            Map.entry("logical_deduction_seven_objects", 7),
            Map.entry("logical_deduction_three_objects", 3),
            Map.entry("movie_recommendation", 6),
            Map.entry("navigate", 2),
            Map.entry("object_counting", 19),
            Map.entry("penguins_in_a_table", 5),
            Map.entry("reasoning_about_colored_objects", 18),
            Map.entry("ruin_names", 6),
            Map.entry("salient_translation_error_detection", 6),
            Map.entry("snarks", 2),
            Map.entry("sports_understanding", 2),
            Map.entry("temporal_sequences", 4),
            Map.entry("tracking_shuffled_objects_five_objects", 5),
            Map.entry("tracking_shuffled_objects_seven_objects", 7),
            Map.entry("tracking_shuffled_objects_three_objects", 3),
            Map.entry("web_of_lies", 2));

    private static final Map<String, Integer> MUSR =
            Map.of("murder_mysteries", 2, "object_placements", 5, "team_allocation", 3);

    private static final List<String> GPQA =
            List.of("leaderboard_gpqa_diamond", "leaderboard_gpqa_extended", "leaderboard_gpqa_main");

    private static final List<String> MATH = Stream.of(
                    "algebra",
                    "counting_and_prob",
                    "geometry",
                    "intermediate_algebra",
                    "num_theory",
                    "prealgebra",
                    "precalculus")
            .map(part -> "leaderboard_math_" + part + "_hard")
            .toList();

    private static final String MMLU_PRO = "leaderboard_mmlu_pro";
    private static final int BENCHMARKS = 6;
    private static final int CHOICES_OF_GPQA = 4;
    private static final int CHOICES_OF_MMLU_PRO = 10;

    private LeaderboardScores() {}

    /** The scores that a result has the tasks for, in the leaderboard's order, then their average. */
    static List<GroupResult> of(EvaluationResult result) {
        List<GroupResult> scores = Stream.of(
                        instructions(result),
                        byChoices(result, "leaderboard_bbh", BBH),
                        pooled(result, "leaderboard_math_hard", MATH, "exact_match", 0),
                        pooled(result, "leaderboard_gpqa", GPQA, "acc_norm", 1.0 / CHOICES_OF_GPQA),
                        byChoices(result, "leaderboard_musr", MUSR),
                        pooled(result, MMLU_PRO, List.of(MMLU_PRO), "acc", 1.0 / CHOICES_OF_MMLU_PRO))
                .flatMap(Optional::stream)
                .toList();
        if (scores.size() < BENCHMARKS) {
            return scores;
        }
        List<GroupResult> all = new ArrayList<>(scores);
        double mean = scores.stream().mapToDouble(GroupResult::value).average().orElseThrow();
        List<String> members = scores.stream()
                .flatMap(score -> Stream.ofNullable(score.members()).flatMap(List::stream))
                .toList();
        int documents = scores.stream().mapToInt(GroupResult::documents).sum();
        all.add(new GroupResult(
                "leaderboard", "average", GroupResult.NORMALIZED, mean, null, members.size(), documents, members));
        return all;
    }

    private static double normalized(double value, double guessed) {
        return Math.max(0, (value - guessed) / (1 - guessed));
    }

    /** The mean of both strict figures, in which guessing gives nothing. */
    private static Optional<GroupResult> instructions(EvaluationResult result) {
        String name = "leaderboard_ifeval";
        return figures(result, List.of(name), "prompt_level_strict_acc")
                .flatMap(prompts -> figures(result, List.of(name), "inst_level_strict_acc")
                        .map(each -> group(
                                name,
                                "strict_acc",
                                (prompts.getFirst().value() + each.getFirst().value()) / 2,
                                List.of(name),
                                prompts)));
    }

    /** The mean of the tasks' normalized figures. */
    private static Optional<GroupResult> byChoices(
            EvaluationResult result, String benchmark, Map<String, Integer> choices) {
        List<String> parts = choices.keySet().stream().sorted().toList();
        List<String> tasks = parts.stream().map(part -> benchmark + "_" + part).toList();
        return figures(result, tasks, "acc_norm").map(figures -> {
            double sum = 0;
            for (int i = 0; i < parts.size(); i++) {
                sum += normalized(figures.get(i).value(), 1.0 / Objects.requireNonNull(choices.get(parts.get(i))));
            }
            return group(benchmark, "acc_norm", sum / parts.size(), tasks, figures);
        });
    }

    /** The normalized figure of all documents. */
    private static Optional<GroupResult> pooled(
            EvaluationResult result, String benchmark, List<String> tasks, String metric, double guessed) {
        return figures(result, tasks, metric).map(figures -> {
            double sum = figures.stream()
                    .mapToDouble(figure -> figure.value() * figure.documents())
                    .sum();
            return group(benchmark, metric, normalized(sum / documents(figures), guessed), tasks, figures);
        });
    }

    /** A figure of each task; empty if one is missing. */
    private static Optional<List<MetricValue>> figures(EvaluationResult result, List<String> tasks, String metric) {
        List<MetricValue> found = tasks.stream()
                .flatMap(task -> result.task(task).flatMap(one -> one.metric(metric)).stream())
                .toList();
        return Optional.of(found).filter(all -> all.size() == tasks.size());
    }

    private static int documents(List<MetricValue> figures) {
        return figures.stream().mapToInt(MetricValue::documents).sum();
    }

    private static GroupResult group(
            String name, String metric, double value, List<String> tasks, List<MetricValue> figures) {
        return new GroupResult(
                name, metric, GroupResult.NORMALIZED, value, null, tasks.size(), documents(figures), tasks);
    }
}
