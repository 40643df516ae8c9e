package nibble.eval.judge;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import nibble.datasets.mtbench.MtBenchQuestion;
import nibble.files.Version;
import org.jspecify.annotations.Nullable;

/**
 * Holds averages of judgments, as FastChat's {@code show_result} has them: judgments without a score do not count.
 *
 * @param prompts where the judge's prompts come from
 * @param promptsSha256 of their file
 * @param score the mean of all judgments; null without one
 * @param firstTurn the mean of the first turns
 * @param secondTurn the mean of the second turns
 * @param categories means by the question's category
 * @param judgments with a score
 * @param withoutScore judgments without one
 * @param promptTokens that the judge read, as its server counts them
 * @param completionTokens that it wrote
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record JudgeScores(
        String schema,
        String nibbleVersion,
        String model,
        String judge,
        String prompts,
        String promptsSha256,
        int questions,
        @Nullable Double score,
        @Nullable Double firstTurn,
        @Nullable Double secondTurn,
        Map<String, Double> categories,
        int judgments,
        int withoutScore,
        long promptTokens,
        long completionTokens) {
    /** Name and version of the JSON's form. */
    public static final String SCHEMA = "nibble-mt-bench-1";

    static JudgeScores of(
            String model,
            String judge,
            JudgePrompts prompts,
            List<MtBenchQuestion> questions,
            List<Judgment> judgments) {
        Map<Integer, String> categoryOf = new LinkedHashMap<>();
        questions.forEach(question -> categoryOf.put(question.id(), question.category()));
        List<Judgment> scored =
                judgments.stream().filter(one -> one.score() != Judgment.NONE).toList();
        Map<String, Double> categories = new LinkedHashMap<>();
        for (String category : categoryOf.values()) {
            Double mean = mean(scored, one -> category.equals(categoryOf.get(one.questionId())));
            if (mean != null) {
                categories.put(category, mean);
            }
        }
        return new JudgeScores(
                SCHEMA,
                Version.NIBBLE,
                model,
                judge,
                prompts.source(),
                prompts.sha256(),
                (int) judgments.stream().map(Judgment::questionId).distinct().count(),
                mean(scored, _ -> true),
                mean(scored, one -> one.turn() == 1),
                mean(scored, one -> one.turn() == 2),
                categories,
                scored.size(),
                judgments.size() - scored.size(),
                judgments.stream().mapToLong(Judgment::promptTokens).sum(),
                judgments.stream().mapToLong(Judgment::completionTokens).sum());
    }

    private static @Nullable Double mean(List<Judgment> judgments, Predicate<Judgment> counts) {
        double[] scores =
                judgments.stream().filter(counts).mapToDouble(Judgment::score).toArray();
        double sum = 0;
        for (double score : scores) {
            sum += score;
        }
        return scores.length == 0 ? null : (Double) (sum / scores.length);
    }
}
