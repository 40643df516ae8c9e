package nibble.eval.tasks;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Holds an average over the tasks of a group.
 *
 * @param group as {@code mmlu}
 * @param metric as {@code acc}
 * @param average {@code mean_of_tasks}: every task counts the same (the Open LLM Leaderboard's MMLU);
 *     {@code weighted_by_documents}: every document counts the same (lm-evaluation-harness from 0.4 on);
 *     {@code normalized}: 0 for a model that guesses, 1 for one that is always right (the second Open LLM Leaderboard)
 * @param stderr of the average
 * @param members names of the tasks, where they need not name the group themselves
 */
public record GroupResult(
        String group,
        String metric,
        String average,
        double value,
        @Nullable Double stderr,
        int tasks,
        int documents,
        @Nullable List<String> members) {
    public static final String MEAN_OF_TASKS = "mean_of_tasks";
    public static final String BY_DOCUMENTS = "weighted_by_documents";
    public static final String NORMALIZED = "normalized";

    /** Averages the tasks that name the group themselves. */
    public GroupResult(
            String group,
            String metric,
            String average,
            double value,
            @Nullable Double stderr,
            int tasks,
            int documents) {
        this(group, metric, average, value, stderr, tasks, documents, null);
    }

    /** Returns the metric as people read it: with how the figure is made. */
    public String shownMetric() {
        return metric
                + switch (average) {
                    case MEAN_OF_TASKS -> ", mean of " + tasks + " subjects";
                    case NORMALIZED -> ", normalized";
                    default -> ", by documents";
                };
    }

    /** Returns whether a task is one of those averaged. */
    public boolean holds(String task, @Nullable String groupOfTask) {
        return members == null ? group.equals(groupOfTask) : members.contains(task);
    }
}
