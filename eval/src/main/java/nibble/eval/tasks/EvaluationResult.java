package nibble.eval.tasks;

import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Holds what {@code nibble eval tasks} measured, with all that is needed to measure it again: the document that {@code
 * --json} writes (docs/evaluation.md describes every field).
 *
 * @param schema {@link #SCHEMA}
 * @param nibbleVersion of the program that measured
 * @param model as it was named
 * @param device as the backend describes itself
 * @param preset whose rules were followed: {@code leaderboard-v1} or {@code lm-eval-0.4.9.1}
 * @param bos whether one BOS id led every request
 * @param limit documents of a task at most; null for all
 * @param tasks one each, the subjects of mmlu among them as {@code mmlu_SUBJECT}, in the order asked for
 * @param groups averages over tasks
 */
public record EvaluationResult(
        String schema,
        String nibbleVersion,
        String model,
        String device,
        String preset,
        boolean bos,
        @Nullable Integer limit,
        List<TaskResult> tasks,
        List<GroupResult> groups,
        Throughput throughput) {
    /** Name and version of the JSON's form; another number where a field changes its meaning. */
    public static final String SCHEMA = "nibble-eval-tasks-1";

    public EvaluationResult {
        tasks = List.copyOf(tasks);
        groups = List.copyOf(groups);
    }

    /** Returns the same with other averages over tasks. */
    public EvaluationResult with(List<GroupResult> averages) {
        return new EvaluationResult(
                schema, nibbleVersion, model, device, preset, bos, limit, tasks, averages, throughput);
    }

    /** Returns the task of this name, if it was measured. */
    public Optional<TaskResult> task(String name) {
        return tasks.stream().filter(t -> t.task().equals(name)).findFirst();
    }
}
