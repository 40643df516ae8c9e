package nibble.eval.harness;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import nibble.datasets.BadDatasetException;
import nibble.eval.translation.CorpusMetric;
import org.jspecify.annotations.Nullable;

/** Lists the ways to make a figure of documents' values, with the errors that the harness states. */
enum Aggregation {
    MEAN("mean"),
    NANMEAN("nanmean"),
    MEDIAN("median"),
    /** The mean of truth values in lists; no name of the harness's, but a function's work. */
    MEAN_OF_ALL("agg_inst_level_acc"),
    /** The mean of scikit-learn's f1 of each of three classes; no name of the harness's, but a function's work. */
    F1_OF_THREE("cb_multi_fi"),
    PERPLEXITY("perplexity"),
    WEIGHTED_PERPLEXITY("weighted_perplexity"),
    BITS_PER_BYTE("bits_per_byte"),
    F1("f1"),
    MATTHEWS("matthews_corrcoef"),
    BRIER("brier_score"),
    BLEU("bleu"),
    CHRF("chrf"),
    CHRF_WORDS("chrf++"),
    TER("ter"),
    BYPASS("bypass");

    /** A value of two numbers: for ratios the sum and the unit, for classes the right one and the one picked. */
    record Pair(double first, double second) {}

    /** The right class and the probability of each. */
    record Classes(int gold, double[] probabilities) {}

    /**
     * A text to be compared with right ones over the whole set.
     *
     * @param references right texts
     */
    record Written(Object references, Object text) {}

    /** What the harness makes of metrics whose files name no aggregation. */
    private static final Map<String, Aggregation> OF_METRIC = Map.ofEntries(
            Map.entry("acc", MEAN),
            Map.entry("acc_norm", MEAN),
            Map.entry("acc_bytes", MEAN),
            Map.entry("acc_mutual_info", MEAN),
            Map.entry("exact_match", MEAN),
            Map.entry("perplexity", PERPLEXITY),
            Map.entry("word_perplexity", WEIGHTED_PERPLEXITY),
            Map.entry("byte_perplexity", WEIGHTED_PERPLEXITY),
            Map.entry("bits_per_byte", BITS_PER_BYTE),
            Map.entry("f1", F1),
            Map.entry("mcc", MATTHEWS),
            Map.entry("brier_score", BRIER),
            Map.entry("bleu", BLEU),
            Map.entry("chrf", CHRF),
            Map.entry("chrf++", CHRF_WORDS),
            Map.entry("ter", TER),
            Map.entry("bypass", BYPASS));

    private static final List<String> LOWER_IS_BETTER =
            List.of("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter");

    private final String id;

    Aggregation(String id) {
        this.id = id;
    }

    /** The figures of a task whose file names none. */
    static List<String> usual(TaskConfig.Output output) {
        return switch (output) {
            case LOGLIKELIHOOD -> List.of("perplexity", "acc");
            case LOGLIKELIHOOD_ROLLING -> List.of("word_perplexity", "byte_perplexity", "bits_per_byte");
            case MULTIPLE_CHOICE -> List.of("acc", "acc_norm");
            case GENERATE_UNTIL -> List.of("exact_match");
        };
    }

    static boolean higherIsBetter(String metric) {
        return !LOWER_IS_BETTER.contains(metric);
    }

    /** @throws BadDatasetException if the metric is unknown */
    static Aggregation of(String metric, TaskConfig task) {
        Aggregation found = OF_METRIC.get(metric);
        if (found == null) {
            throw new BadDatasetException(task.place() + ": metric " + metric + " is not supported; supported: "
                    + String.join(", ", OF_METRIC.keySet().stream().sorted().toList()));
        }
        return found;
    }

    /** @throws BadDatasetException if the name is unknown */
    static Aggregation named(String name, TaskConfig task) {
        return Arrays.stream(values())
                .filter(one -> one.id.equals(name) && one != MEAN_OF_ALL && one != F1_OF_THREE)
                .findFirst()
                .orElseThrow(() -> new BadDatasetException(task.place() + ": aggregation " + name
                        + " is not supported; supported: "
                        + String.join(
                                ", ", Arrays.stream(values()).map(one -> one.id).toList())));
    }

    /** @param values a number, {@link Pair} or {@link Classes} of each document */
    double of(List<?> values) {
        return switch (this) {
            case MEAN -> mean(numbers(values));
            case NANMEAN -> {
                double[] known = Arrays.stream(numbers(values))
                        .filter(v -> !Double.isNaN(v))
                        .toArray();
                yield known.length == 0 ? Double.NaN : mean(known);
            }
            case MEDIAN -> {
                double[] sorted = numbers(values);
                Arrays.sort(sorted);
                yield sorted[sorted.length / 2];
            }
            case MEAN_OF_ALL ->
                values.stream()
                        .flatMap(value -> ((List<?>) value).stream())
                        .mapToDouble(one -> Boolean.TRUE.equals(one) ? 1 : 0)
                        .average()
                        .orElse(Double.NaN);
            case PERPLEXITY -> Math.exp(-mean(numbers(values)));
            case WEIGHTED_PERPLEXITY -> Math.exp(-ratio(values));
            case BITS_PER_BYTE -> -ratio(values) / Math.log(2);
            case F1 -> f1(values);
            case F1_OF_THREE -> (f1(values, 0) + f1(values, 1) + f1(values, 2)) / 3;
            case MATTHEWS -> matthews(values);
            case BRIER -> brier(values);
            case BYPASS -> 999;
            case BLEU, CHRF, CHRF_WORDS, TER -> ofSentences(values);
        };
    }

    /** The standard error that the harness states; null where it states none. */
    @Nullable
    Double standardError(List<?> values) {
        if (values.size() < 2) {
            return null;
        }
        return switch (this) {
            case MEAN -> {
                double[] numbers = numbers(values);
                yield deviation(numbers) / Math.sqrt(numbers.length);
            }
            case MEDIAN, MATTHEWS, F1, PERPLEXITY, NANMEAN -> Bootstrap.standardError(this, values);
            case BLEU, CHRF, CHRF_WORDS, TER -> {
                CorpusMetric metric = ofSentences();
                yield Bootstrap.standardError(
                        this,
                        values.stream().map(value -> counts(metric, value)).toList());
            }
            default -> null;
        };
    }

    /** Whether a figure of many sentences is so dear that the harness draws a hundred times alone. */
    boolean isOfSentences() {
        return this == BLEU || this == CHRF || this == CHRF_WORDS || this == TER;
    }

    private CorpusMetric ofSentences() {
        return switch (this) {
            case BLEU -> CorpusMetric.bleu();
            case CHRF -> CorpusMetric.chrf(0);
            case CHRF_WORDS -> CorpusMetric.chrf(2);
            case TER -> CorpusMetric.ter();
            default -> throw new IllegalStateException(id + " is no figure of sentences");
        };
    }

    private double ofSentences(List<?> values) {
        CorpusMetric metric = ofSentences();
        return metric.score(CorpusMetric.sum(
                values.stream().map(value -> counts(metric, value)).toList()));
    }

    private double[] counts(CorpusMetric metric, Object value) {
        if (value instanceof double[] counted) {
            return counted;
        }
        if (value instanceof Written(Object references, Object text)) {
            Object one = text instanceof List<?> list && list.size() == 1 ? list.getFirst() : text;
            List<String> right = references instanceof List<?> list
                    ? list.stream().map(String::valueOf).toList()
                    : List.of(references.toString());
            if (one instanceof String written && !right.isEmpty()) {
                return metric.counts(written, right);
            }
        }
        throw new BadDatasetException("metric " + id + ": " + value + " is no text with right texts");
    }

    static double mean(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum / values.length;
    }

    static double deviation(double[] values) {
        double mean = mean(values);
        double squares = 0;
        for (double value : values) {
            squares += (value - mean) * (value - mean);
        }
        return Math.sqrt(squares / (values.length - 1));
    }

    private static double[] numbers(List<?> values) {
        return values.stream()
                .mapToDouble(value -> ((Number) value).doubleValue())
                .toArray();
    }

    private static double ratio(List<?> values) {
        return sum(values, Pair::first) / sum(values, Pair::second);
    }

    private static double sum(List<?> values, ToDoubleFunction<Pair> part) {
        double sum = 0;
        for (Object value : values) {
            sum += part.applyAsDouble((Pair) value);
        }
        return sum;
    }

    /** Of class 1, as scikit-learn's {@code f1_score} for two classes. */
    private static double f1(List<?> values) {
        for (Object value : values) {
            Pair pair = (Pair) value;
            if (pair.first > 1 || pair.second > 1) {
                throw new BadDatasetException("metric f1: " + pair + "; it is known for classes 0 and 1 alone");
            }
        }
        return f1(values, 1);
    }

    private static double f1(List<?> values, int of) {
        double both = sum(values, pair -> pair.first == of && pair.second == of ? 1 : 0);
        double either = sum(values, pair -> (pair.first == of ? 1 : 0) + (pair.second == of ? 1 : 0));
        return either == 0 ? 0 : 2 * both / either;
    }

    /** As scikit-learn's {@code matthews_corrcoef}, of any number of classes. */
    private static double matthews(List<?> values) {
        List<Double> classes = new ArrayList<>();
        for (Object value : values) {
            Pair pair = (Pair) value;
            for (double one : new double[] {pair.first, pair.second}) {
                if (!classes.contains(one)) {
                    classes.add(one);
                }
            }
        }
        double n = values.size();
        double right = sum(values, pair -> pair.first == pair.second ? 1 : 0);
        double cross = 0;
        double golds = 0;
        double picks = 0;
        for (double one : classes) {
            double gold = sum(values, pair -> pair.first == one ? 1 : 0);
            double pick = sum(values, pair -> pair.second == one ? 1 : 0);
            cross += gold * pick;
            golds += gold * gold;
            picks += pick * pick;
        }
        double scale = (n * n - golds) * (n * n - picks);
        return scale == 0 ? 0 : (right * n - cross) / Math.sqrt(scale);
    }

    private static double brier(List<?> values) {
        double sum = 0;
        for (Object value : values) {
            Classes classes = (Classes) value;
            for (int i = 0; i < classes.probabilities.length; i++) {
                double difference = classes.probabilities[i] - (i == classes.gold ? 1 : 0);
                sum += difference * difference;
            }
        }
        return sum / values.size();
    }
}
