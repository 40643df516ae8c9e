package nibble.eval.tasks;

import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Holds one task's figures.
 *
 * @param task its name, as {@code arc_challenge} or {@code mmlu_anatomy}
 * @param group the task it is a part of, as {@code mmlu}; null for a task by itself
 * @param recipe how it was measured
 * @param metrics the task's figures, the one that is usually quoted first
 * @param truncatedRequests requests longer than the model's context, whose beginnings were cut off
 * @param documents every document's result, in the data set's order
 */
public record TaskResult(
        String task,
        @Nullable String group,
        TaskRecipe recipe,
        List<MetricValue> metrics,
        long truncatedRequests,
        List<DocumentResult> documents) {
    public TaskResult {
        metrics = List.copyOf(metrics);
        documents = List.copyOf(documents);
    }

    /** Returns the figure of this name, if the task has it. */
    public Optional<MetricValue> metric(String name) {
        return metrics.stream().filter(m -> m.metric().equals(name)).findFirst();
    }
}
