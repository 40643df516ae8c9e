package nibble.cli.terminal;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.GroupResult;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.TaskResult;
import nibble.eval.tasks.Throughput;
import org.jspecify.annotations.Nullable;

/**
 * Shows the figures of a run of tasks for people: a line a figure, fractions in percent; subjects of mmlu as their
 * averages alone.
 */
public record TaskTable(EvaluationResult result) {

    public void print(Terminal terminal) {
        terminal.out().println(result.model() + ", " + result.preset());
        new Table(List.of("task", "metric", "value", "±", "documents", "examples"), rows())
                .lines()
                .forEach(terminal.out()::println);
        for (TaskResult task : result.tasks()) {
            if (!task.recipe().deviations().isEmpty() && (task.group() == null || firstOfGroup(task))) {
                String name = task.group() == null ? task.task() : task.group();
                terminal.out()
                        .println(name + ": " + String.join("; ", task.recipe().deviations()));
            }
        }
        long truncated =
                result.tasks().stream().mapToLong(TaskResult::truncatedRequests).sum();
        if (truncated > 0) {
            terminal.out()
                    .println(truncated + " requests were longer than the model's context and lost their beginning");
        }
        terminal.out().println(cost(result.throughput()));
        terminal.out().flush();
    }

    private boolean firstOfGroup(TaskResult task) {
        return result.tasks().stream()
                        .filter(t -> java.util.Objects.equals(t.group(), task.group()))
                        .findFirst()
                        .orElseThrow()
                == task;
    }

    private List<List<String>> rows() {
        List<List<String>> rows = new ArrayList<>();
        for (TaskResult task : result.tasks()) {
            if (task.group() == null) {
                for (MetricValue m : task.metrics()) {
                    rows.add(row(
                            task.task(),
                            m.metric(),
                            m.value(),
                            m.stderr(),
                            m.documents(),
                            task.recipe().fewshot()));
                }
            }
        }
        for (GroupResult group : result.groups()) {
            int shots = result.tasks().stream()
                    .filter(t -> group.holds(t.task(), t.group()))
                    .mapToInt(t -> t.recipe().fewshot())
                    .findFirst()
                    .orElse(0);
            rows.add(row(group.group(), group.shownMetric(), group.value(), group.stderr(), group.documents(), shots));
        }
        return rows;
    }

    private static List<String> row(
            String task, String metric, double value, @Nullable Double error, int documents, int shots) {
        boolean fraction = !metric.contains("perplexity") && !metric.equals("bits_per_byte");
        double unit = fraction ? 100 : 1;
        int places = fraction ? 2 : 4;
        return List.of(
                task,
                metric,
                Figures.decimals(value * unit, places) + (fraction ? " %" : ""),
                error == null ? "" : Figures.decimals(error * unit, places),
                Integer.toString(documents),
                Integer.toString(shots));
    }

    private static String cost(Throughput t) {
        if (t.requests() == 0) {
            return "all documents taken from the journal";
        }
        return String.format(
                Locale.ROOT,
                "%d requests in %s: %.1f a second, %.3f TFLOP/s; %d tokens computed, %.2f times fewer than without"
                        + " sharing%s",
                t.requests(),
                Figures.duration(t.wallSeconds()),
                t.requestsPerSecond(),
                t.flopsPerSecond() / 1e12,
                t.tokensComputed(),
                (double) t.tokensWithoutSharing() / t.tokensComputed(),
                t.resumedDocuments() == 0 ? "" : "; " + t.resumedDocuments() + " documents from the journal");
    }
}
