package nibble.eval.harness;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.GroupResult;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.TaskResult;
import org.jspecify.annotations.Nullable;

/** Averages figures over the tasks of a group as the harness does. */
final class GroupAverages {
    private GroupAverages() {}

    static List<GroupResult> of(TaskGroup group, EvaluationResult result) {
        List<GroupResult> averages = new ArrayList<>();
        for (TaskGroup.Average average : group.averages()) {
            for (String name : names(group, average, result)) {
                List<MetricValue> values = group.tasks().stream()
                        .flatMap(task -> result.task(task).flatMap(found -> found.metric(name)).stream())
                        .toList();
                if (!values.isEmpty()) {
                    averages.add(average(group, name, values, average.bySize()));
                }
            }
        }
        return averages;
    }

    /** Names of a metric with each of its filters. */
    private static Set<String> names(TaskGroup group, TaskGroup.Average average, EvaluationResult result) {
        Set<String> names = new LinkedHashSet<>();
        if (average.filters().isPresent()) {
            average.filters().get().forEach(filter -> names.add(FileRules.named(average.metric(), filter)));
            return names;
        }
        for (String task : group.tasks()) {
            Optional<TaskResult> found = result.task(task);
            found.stream()
                    .flatMap(one -> one.metrics().stream())
                    .map(MetricValue::metric)
                    .filter(name -> name.equals(average.metric()) || name.startsWith(average.metric() + ","))
                    .forEach(names::add);
        }
        return names;
    }

    private static GroupResult average(TaskGroup group, String metric, List<MetricValue> values, boolean bySize) {
        double sizes = 0;
        double sum = 0;
        double squares = 0;
        boolean known = true;
        for (MetricValue value : values) {
            double size = bySize ? value.documents() : 1;
            sizes += size;
            sum += value.value() * size;
            @Nullable Double error = value.stderr();
            known &= error != null;
            squares += error == null ? 0 : bySize ? (size - 1) * error * error * size : error * error;
        }
        double error =
                bySize ? Math.sqrt(squares / (sizes - values.size()) / sizes) : Math.sqrt(squares) / values.size();
        return new GroupResult(
                group.name(),
                metric,
                bySize ? GroupResult.BY_DOCUMENTS : GroupResult.MEAN_OF_TASKS,
                sum / sizes,
                known ? error : null,
                values.size(),
                values.stream().mapToInt(MetricValue::documents).sum(),
                group.tasks());
    }
}
