package nibble.eval.tasks;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/** A task's figures from its documents'. */
final class Aggregates {
    private Aggregates() {}

    /** The figures of a task; the one that is usually quoted first. */
    static List<MetricValue> of(Task task, Preset preset, List<DocumentResult> documents) {
        List<String> means = switch (task) {
            case ARC_CHALLENGE, HELLASWAG -> List.of("acc_norm", "acc");
            case ARC_EASY, PIQA, OPENBOOKQA -> List.of("acc", "acc_norm");
            case MMLU, WINOGRANDE, LAMBADA -> List.of("acc");
            case TRUTHFULQA -> List.of("mc2", "mc1");
            case GSM8K ->
                preset == Preset.LEADERBOARD_V1
                        ? List.of("acc")
                        : List.of("exact_match_strict", "exact_match_flexible");
            case WIKITEXT -> List.of();
        };
        List<MetricValue> values = new ArrayList<>();
        for (String metric : means) {
            double[] each = values(documents, d -> value(d, metric));
            values.add(new MetricValue(metric, mean(each), standardError(each), each.length, true));
        }
        switch (task) {
            case LAMBADA -> values.add(perplexity(documents));
            case WIKITEXT -> values.addAll(wikitext(documents));
            default -> {}
        }
        return values;
    }

    /** exp of minus the mean; its error to first order: the value times the mean's error. */
    private static MetricValue perplexity(List<DocumentResult> documents) {
        double[] each = values(documents, d -> value(d, "perplexity"));
        double value = Math.exp(-mean(each));
        @Nullable Double error = standardError(each);
        return new MetricValue("perplexity", value, error == null ? null : value * error, each.length, false);
    }

    private static List<MetricValue> wikitext(List<DocumentResult> documents) {
        double sum = documents.stream()
                .mapToDouble(d -> d.requests().getFirst().logLikelihood())
                .sum();
        double words = documents.stream().mapToDouble(d -> value(d, "words")).sum();
        double bytes = documents.stream().mapToDouble(d -> value(d, "bytes")).sum();
        int n = documents.size();
        return List.of(
                new MetricValue("word_perplexity", Math.exp(-sum / words), null, n, false),
                new MetricValue("byte_perplexity", Math.exp(-sum / bytes), null, n, false),
                new MetricValue("bits_per_byte", -sum / bytes / Math.log(2), null, n, false));
    }

    /** Averages over the subjects of mmlu; none if no subject is there. */
    static List<GroupResult> groups(List<TaskResult> tasks) {
        List<MetricValue> subjects = tasks.stream()
                .filter(t -> Task.MMLU.id().equals(t.group()))
                .map(t -> t.metrics().getFirst())
                .toList();
        if (subjects.isEmpty()) {
            return List.of();
        }
        int k = subjects.size();
        int n = subjects.stream().mapToInt(MetricValue::documents).sum();
        double mean =
                subjects.stream().mapToDouble(MetricValue::value).average().orElseThrow();
        double weighted =
                subjects.stream().mapToDouble(m -> m.value() * m.documents()).sum() / n;
        return List.of(
                new GroupResult(Task.MMLU.id(), "acc", GroupResult.MEAN_OF_TASKS, mean, errorOfMean(subjects), k, n),
                new GroupResult(
                        Task.MMLU.id(), "acc", GroupResult.BY_DOCUMENTS, weighted, pooledError(subjects, n), k, n));
    }

    /** Of the mean of independent means. */
    private static @Nullable Double errorOfMean(List<MetricValue> subjects) {
        double sum = 0;
        for (MetricValue m : subjects) {
            @Nullable Double error = m.stderr();
            if (error == null) {
                return null;
            }
            sum += error * error;
        }
        return Math.sqrt(sum) / subjects.size();
    }

    /** The harness's pooled error: {@code sqrt(Σ (n-1) n se² / (N - k) / N)}. */
    private static @Nullable Double pooledError(List<MetricValue> subjects, int n) {
        double sum = 0;
        for (MetricValue m : subjects) {
            @Nullable Double error = m.stderr();
            if (error == null) {
                return null;
            }
            sum += (m.documents() - 1.0) * m.documents() * error * error;
        }
        return Math.sqrt(sum / (n - subjects.size()) / n);
    }

    private static double[] values(List<DocumentResult> documents, ToDoubleFunction<DocumentResult> value) {
        return documents.stream().mapToDouble(value).toArray();
    }

    private static double value(DocumentResult document, String metric) {
        @Nullable Double value = document.metrics().get(metric);
        if (value == null) {
            throw new IllegalStateException("document " + document.document() + " has no " + metric);
        }
        return value;
    }

    static double mean(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum / values.length;
    }

    /** Sample standard deviation over √n; null for a single value. */
    static @Nullable Double standardError(double[] values) {
        int n = values.length;
        if (n < 2) {
            return null;
        }
        double mean = mean(values);
        double squares = 0;
        for (double value : values) {
            squares += (value - mean) * (value - mean);
        }
        return Math.sqrt(squares / (n - 1) / n);
    }
}
