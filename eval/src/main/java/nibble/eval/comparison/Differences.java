package nibble.eval.comparison;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import nibble.datasets.BadDatasetException;
import nibble.eval.tasks.DocumentResult;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.GroupResult;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.TaskResult;
import org.jspecify.annotations.Nullable;

/**
 * Differences of figures with paired standard errors. Each figure is, exactly or to first order, a mean over documents
 * of some value; the error of a difference is that of the mean of the values' differences.
 */
final class Differences {
    private Differences() {}

    static List<TaskDifference> of(EvaluationResult baseline, EvaluationResult model) {
        List<TaskDifference> found = new ArrayList<>();
        for (TaskResult task : model.tasks()) {
            TaskResult other = baseline.task(task.task())
                    .orElseThrow(() -> new BadDatasetException(baseline.model() + ": no result of " + task.task()
                            + "; measure both models with the same --tasks"));
            requireSame(other, task);
            for (MetricValue metric : task.metrics()) {
                other.metric(metric.metric()).ifPresent(b -> found.add(difference(task, other, b, metric)));
            }
        }
        for (GroupResult group : model.groups()) {
            baseline.groups().stream()
                    .filter(g -> g.group().equals(group.group())
                            && g.metric().equals(group.metric())
                            && g.average().equals(group.average()))
                    .findFirst()
                    .ifPresent(b -> found.add(difference(b, group, model, found)));
        }
        return found;
    }

    /** Checks that two results of a task are of the same requests. */
    private static void requireSame(TaskResult baseline, TaskResult model) {
        check(model, "preset", baseline.recipe().preset(), model.recipe().preset());
        check(
                model,
                "SHA-256 of the data",
                baseline.recipe().dataset().sha256(),
                model.recipe().dataset().sha256());
        check(model, "examples", baseline.recipe().fewshot(), model.recipe().fewshot());
        check(
                model,
                "source of examples",
                baseline.recipe().fewshotSource(),
                model.recipe().fewshotSource());
        check(model, "seed", baseline.recipe().fewshotSeed(), model.recipe().fewshotSeed());
        check(model, "BOS", baseline.recipe().bos(), model.recipe().bos());
        check(
                model,
                "context in tokens",
                baseline.recipe().contextTokens(),
                model.recipe().contextTokens());
        check(
                model,
                "number of documents",
                baseline.documents().size(),
                model.documents().size());
        for (int i = 0; i < model.documents().size(); i++) {
            check(
                    model,
                    "document",
                    baseline.documents().get(i).document(),
                    model.documents().get(i).document());
        }
    }

    private static void check(TaskResult task, String what, Object baseline, Object model) {
        if (!baseline.equals(model)) {
            throw new BadDatasetException(
                    "%s: the models were not asked the same: %s is %s for the baseline and %s for the model"
                            .formatted(task.task(), what, baseline, model));
        }
    }

    private static TaskDifference difference(
            TaskResult task, TaskResult other, MetricValue baseline, MetricValue metric) {
        double[] before = shares(metric.metric(), other.documents());
        double[] after = shares(metric.metric(), task.documents());
        double[] change = new double[after.length];
        boolean yesOrNo = true;
        int lost = 0;
        int gained = 0;
        for (int i = 0; i < after.length; i++) {
            change[i] = after[i] - before[i];
            yesOrNo &= (after[i] == 0 || after[i] == 1) && (before[i] == 0 || before[i] == 1);
            lost += change[i] < 0 ? 1 : 0;
            gained += change[i] > 0 ? 1 : 0;
        }
        boolean flips = yesOrNo && !metric.metric().equals("mc2") && after.length > 0;
        return new TaskDifference(
                task.task(),
                task.group(),
                metric.metric(),
                null,
                after.length,
                task.recipe().fewshot(),
                baseline.value(),
                metric.value(),
                metric.value() - baseline.value(),
                standardError(change),
                metric.higherIsBetter(),
                flips ? TaskDifference.Flips.of(lost, gained, after.length) : null);
    }

    /** Each document's share: values whose mean is the figure, or moves as the figure does to first order. */
    private static double[] shares(String metric, List<DocumentResult> documents) {
        return switch (metric) {
            case "perplexity" -> {
                double[] sums = documents.stream()
                        .mapToDouble(d -> value(d, "perplexity"))
                        .toArray();
                double perplexity = Math.exp(-mean(sums));
                yield java.util.Arrays.stream(sums).map(s -> -perplexity * s).toArray();
            }
            case "word_perplexity" -> ratio(documents, "words", true);
            case "byte_perplexity" -> ratio(documents, "bytes", true);
            case "bits_per_byte" -> ratio(documents, "bytes", false);
            default -> documents.stream().mapToDouble(d -> value(d, metric)).toArray();
        };
    }

    /** Shares in the total log-likelihood over the total of units, linearized. */
    private static double[] ratio(List<DocumentResult> documents, String unit, boolean exponential) {
        double[] sums = documents.stream()
                .mapToDouble(d -> d.requests().getFirst().logLikelihood())
                .toArray();
        double[] units = documents.stream().mapToDouble(d -> value(d, unit)).toArray();
        double rate = mean(sums) / mean(units);
        double slope = exponential ? Math.exp(-rate) : 1 / Math.log(2);
        double[] shares = new double[sums.length];
        for (int i = 0; i < shares.length; i++) {
            shares[i] = -slope * (sums[i] - rate * units[i]) / mean(units);
        }
        return shares;
    }

    private static double value(DocumentResult document, String metric) {
        return Objects.requireNonNull(document.metrics().get(metric), metric);
    }

    /** A group's error from its tasks', whose documents are independent of each other. */
    private static TaskDifference difference(
            GroupResult baseline, GroupResult group, EvaluationResult result, List<TaskDifference> tasks) {
        List<TaskDifference> parts = tasks.stream()
                .filter(t -> group.holds(t.task(), t.group()) && t.metric().equals(group.metric()))
                .toList();
        double variance = 0;
        // The leaderboard publishes no error of a normalized score, which a floor keeps from being a mean.
        boolean normalized = group.average().equals(GroupResult.NORMALIZED);
        boolean known = !normalized;
        int lost = 0;
        int gained = 0;
        for (TaskDifference part : parts) {
            double weight = group.average().equals(GroupResult.MEAN_OF_TASKS)
                    ? 1.0 / parts.size()
                    : (double) part.documents() / group.documents();
            known &= part.stderr() != null;
            variance += part.stderr() == null ? 0 : Math.pow(weight * part.stderr(), 2);
            lost += part.flips() == null ? 0 : part.flips().lost();
            gained += part.flips() == null ? 0 : part.flips().gained();
        }
        int fewshot = result.tasks().stream()
                .filter(t -> group.holds(t.task(), t.group()))
                .mapToInt(t -> t.recipe().fewshot())
                .findFirst()
                .orElse(0);
        return new TaskDifference(
                group.group(),
                null,
                group.metric(),
                group.average(),
                group.documents(),
                fewshot,
                baseline.value(),
                group.value(),
                group.value() - baseline.value(),
                known ? Math.sqrt(variance) : null,
                true,
                normalized ? null : TaskDifference.Flips.of(lost, gained, group.documents()));
    }

    private static double mean(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum / values.length;
    }

    private static @Nullable Double standardError(double[] values) {
        if (values.length < 2) {
            return null;
        }
        double mean = mean(values);
        double squares = 0;
        for (double value : values) {
            squares += (value - mean) * (value - mean);
        }
        return Math.sqrt(squares / (values.length - 1) / values.length);
    }
}
