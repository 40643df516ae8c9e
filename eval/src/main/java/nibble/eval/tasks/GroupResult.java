package nibble.eval.tasks;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Holds an average over the tasks of a group.
 *
 * @param group as {@code mmlu}
 * @param metric as {@code acc}
 * @param average {@code mean_of_tasks}: every task counts the same (the Open LLM Leaderboard's MMLU);
 *     {@code weighted_by_documents}: every document counts the same (lm-evaluation-harness from 0.4 on)
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

    /** Returns whether a task is one of those averaged. */
    public boolean holds(String task, @Nullable String groupOfTask) {
        return members == null ? group.equals(groupOfTask) : members.contains(task);
    }
}
