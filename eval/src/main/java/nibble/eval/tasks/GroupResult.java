package nibble.eval.tasks;

import org.jspecify.annotations.Nullable;

/**
 * Holds an average over the tasks of a group.
 *
 * @param group as {@code mmlu}
 * @param metric as {@code acc}
 * @param average {@code mean_of_tasks}: every task counts the same (the Open LLM Leaderboard's MMLU);
 *     {@code weighted_by_documents}: every document counts the same (lm-evaluation-harness from 0.4 on)
 * @param stderr of the average
 */
public record GroupResult(
        String group,
        String metric,
        String average,
        double value,
        @Nullable Double stderr,
        int tasks,
        int documents) {}
