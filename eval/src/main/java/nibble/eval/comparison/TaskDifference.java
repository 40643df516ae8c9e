package nibble.eval.comparison;

import org.jspecify.annotations.Nullable;

/**
 * Compares one figure of a task, or of a group of tasks, for two models.
 *
 * @param task its name, as {@code arc_challenge}, or the group's, as {@code mmlu}
 * @param group the group that the task belongs to; null for a task by itself and for a group
 * @param metric as in {@link nibble.eval.tasks.MetricValue}
 * @param average how a group's figure is made of its tasks', as in {@link nibble.eval.tasks.GroupResult}; null for a
 *     task
 * @param documents that both models were asked about
 * @param fewshot examples before each question
 * @param baseline the original model's figure
 * @param model the other model's
 * @param difference {@code model - baseline}
 * @param stderr standard error of the difference, paired by document: documents that are hard for both models do not
 *     count; null where there are fewer than two documents
 * @param higherIsBetter whether a better model has a greater value
 * @param flips answers that became right or wrong; null where a document's share of the figure is not right or wrong
 */
public record TaskDifference(
        String task,
        @Nullable String group,
        String metric,
        @Nullable String average,
        int documents,
        int fewshot,
        double baseline,
        double model,
        double difference,
        @Nullable Double stderr,
        boolean higherIsBetter,
        @Nullable Flips flips) {

    /**
     * Answers that differ between the models. Losses and gains cancel in a difference of accuracies, not here.
     *
     * @param lost right for the baseline, wrong for the model
     * @param gained the other way round
     * @param rate {@code (lost + gained) / documents}
     */
    public record Flips(int lost, int gained, double rate) {
        static Flips of(int lost, int gained, int documents) {
            return new Flips(lost, gained, (double) (lost + gained) / documents);
        }
    }
}
