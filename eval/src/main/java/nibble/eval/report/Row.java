package nibble.eval.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import nibble.eval.comparison.ModelComparison;
import nibble.eval.comparison.TaskDifference;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.GroupResult;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.TaskResult;
import org.jspecify.annotations.Nullable;

/**
 * One figure as people read it: fractions in percent; of a group of tasks its averages alone.
 *
 * @param metric with how a group's average is made
 * @param stderr of {@code value}
 * @param baseline null without one
 * @param baselineStderr of {@code baseline}
 * @param difference with the baseline; null without one
 * @param unit the factor from the figures' own unit to the shown one: 100 for fractions
 */
record Row(
        String task,
        String metric,
        int documents,
        int fewshot,
        double value,
        @Nullable Double stderr,
        @Nullable Double baseline,
        @Nullable Double baselineStderr,
        @Nullable TaskDifference difference,
        double unit) {

    static List<Row> of(Report report) {
        List<Row> rows = new ArrayList<>();
        for (TaskResult task : report.model().tasks()) {
            if (task.group() == null) {
                for (MetricValue metric : task.metrics()) {
                    rows.add(row(report, task, metric));
                }
            }
        }
        for (GroupResult group : report.model().groups()) {
            rows.add(row(report, group));
        }
        return rows;
    }

    private static Row row(Report report, TaskResult task, MetricValue metric) {
        @Nullable
        MetricValue baseline = report.comparison()
                .map(ModelComparison::baseline)
                .flatMap(b -> b.task(task.task()))
                .flatMap(t -> t.metric(metric.metric()))
                .orElse(null);
        @Nullable TaskDifference difference = difference(report, task.task(), metric.metric(), null);
        return new Row(
                task.task(),
                metric.metric(),
                metric.documents(),
                task.recipe().fewshot(),
                metric.value(),
                metric.stderr(),
                baseline == null ? null : (Double) baseline.value(),
                baseline == null ? null : baseline.stderr(),
                difference,
                unit(metric.metric()));
    }

    private static Row row(Report report, GroupResult group) {
        @Nullable
        GroupResult baseline =
                report
                        .comparison()
                        .map(ModelComparison::baseline)
                        .map(EvaluationResult::groups)
                        .orElse(List.of())
                        .stream()
                        .filter(g -> g.group().equals(group.group())
                                && g.average().equals(group.average())
                                && g.metric().equals(group.metric()))
                        .findFirst()
                        .orElse(null);
        int fewshot = report.model().tasks().stream()
                .filter(t -> group.holds(t.task(), t.group()))
                .mapToInt(t -> t.recipe().fewshot())
                .findFirst()
                .orElse(0);
        return new Row(
                group.group(),
                group.shownMetric(),
                group.documents(),
                fewshot,
                group.value(),
                group.stderr(),
                baseline == null ? null : (Double) baseline.value(),
                baseline == null ? null : baseline.stderr(),
                difference(report, group.group(), group.metric(), group.average()),
                unit(group.metric()));
    }

    private static @Nullable TaskDifference difference(
            Report report, String task, String metric, @Nullable String average) {
        return report.comparison().map(ModelComparison::differences).orElse(List.of()).stream()
                .filter(d -> d.task().equals(task)
                        && d.metric().equals(metric)
                        && java.util.Objects.equals(d.average(), average))
                .findFirst()
                .orElse(null);
    }

    private static double unit(String metric) {
        return metric.contains("perplexity") || metric.equals("bits_per_byte") ? 1 : 100;
    }

    boolean fraction() {
        return unit == 100;
    }

    /** The model's figure with its error, or the baseline's. */
    String shown(@Nullable Double figure, @Nullable Double error) {
        return figure == null ? "" : decimals(figure * unit) + (error == null ? "" : " ± " + decimals(error * unit));
    }

    String value(boolean ofBaseline) {
        return ofBaseline ? shown(baseline, baselineStderr) : shown(value, stderr);
    }

    String shownDifference() {
        if (difference == null) {
            return "";
        }
        String sign = difference.difference() < 0 ? "−" : "+";
        Double error = difference.stderr();
        return sign
                + decimals(Math.abs(difference.difference() * unit))
                + (error == null ? "" : " ± " + decimals(error * unit));
    }

    String flips() {
        return difference == null || difference.flips() == null
                ? ""
                : String.format(Locale.ROOT, "%.2f %%", 100 * difference.flips().rate());
    }

    String decimals(double shown) {
        return String.format(Locale.ROOT, fraction() ? "%.2f" : "%.4f", shown);
    }
}
