package nibble.eval.harness;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import nibble.eval.harness.Aggregation.Classes;
import nibble.eval.harness.Aggregation.Pair;
import nibble.eval.harness.functions.AnswerWords;
import nibble.eval.harness.functions.PythonStr;
import nibble.eval.tasks.DocumentResult;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.PreparedTask;
import nibble.eval.tasks.RequestResult;
import nibble.eval.tasks.TaskRules;
import nibble.jinja.PythonRegex;
import org.jspecify.annotations.Nullable;

/** Judges answers as a task's file says. */
final class FileRules implements TaskRules {
    private final TaskConfig task;
    private final TaskTexts texts;
    private final boolean textsAreChoices;
    private final boolean severalTargets;
    private final List<TaskConfig.Metric> metrics;
    private final List<ResponseFilter> filters;
    private final Map<Integer, Map<String, @Nullable Object>> documents;

    /** @param documents by number */
    FileRules(
            TaskConfig task,
            TaskTexts texts,
            boolean textsAreChoices,
            Map<Integer, Map<String, @Nullable Object>> documents) {
        this.task = task;
        this.texts = texts;
        this.textsAreChoices = textsAreChoices;
        Map<String, @Nullable Object> first = documents.get(0);
        this.severalTargets = first != null
                && task.output() == TaskConfig.Output.GENERATE_UNTIL
                && texts.target(first, task.values().get("doc_to_target")) instanceof List<?> several
                && !several.isEmpty();
        this.metrics = task.metrics();
        this.filters = task.filters().stream()
                .map(filter -> new ResponseFilter(task, filter))
                .toList();
        this.documents = documents;
    }

    List<TaskConfig.Metric> metrics() {
        return metrics;
    }

    List<ResponseFilter> filters() {
        return filters;
    }

    /** The name of a figure: with its filter, unless that is the harness's usual one. */
    static String named(String metric, String filter) {
        return filter.equals("none") ? metric : metric + "," + filter;
    }

    @Override
    public DocumentResult judged(PreparedTask.Item item, List<RequestResult> results) {
        Map<String, @Nullable Object> document = document(item.number());
        DocumentResult plain = new DocumentResult(item.number(), results, null, null, null, Map.of());
        Integer pick = null;
        Integer gold = null;
        if (task.output() == TaskConfig.Output.MULTIPLE_CHOICE) {
            double[] sums = sums(
                    results,
                    texts.choices(document, task.values().get("doc_to_choice")).size());
            pick = greatest(sums);
            List<Integer> golds = golds(document);
            gold = golds.size() == 1 ? golds.getFirst() : null;
        }
        return new DocumentResult(item.number(), results, gold, pick, null, shares(document, plain));
    }

    @Override
    public DocumentResult judged(PreparedTask.Item item, String text) {
        DocumentResult plain = new DocumentResult(item.number(), List.of(), null, null, text, Map.of());
        return new DocumentResult(item.number(), List.of(), null, null, text, shares(document(item.number()), plain));
    }

    private Map<String, @Nullable Object> document(int number) {
        Map<String, @Nullable Object> document = documents.get(number);
        if (document == null) {
            throw new IllegalStateException(task.name() + " has no document " + number);
        }
        return document;
    }

    /** A document's share of each figure, as far as it is a number; for ratios the units. */
    private Map<String, Double> shares(Map<String, @Nullable Object> document, DocumentResult result) {
        Map<String, Double> shares = new LinkedHashMap<>();
        for (ResponseFilter filter : filters) {
            values(document, result, filter).forEach((metric, value) -> {
                switch (value) {
                    case Number number -> shares.put(named(metric, filter.name()), number.doubleValue());
                    case Pair pair when metric.equals("word_perplexity") -> shares.put("words", pair.second());
                    case Pair pair when metric.equals("byte_perplexity") -> shares.put("bytes", pair.second());
                    default -> {}
                }
            });
        }
        return shares;
    }

    @Override
    public List<MetricValue> figures(List<DocumentResult> results) {
        List<MetricValue> figures = new ArrayList<>();
        for (ResponseFilter filter : filters) {
            Map<String, List<Object>> byMetric = new LinkedHashMap<>();
            for (DocumentResult result : results) {
                values(document(result.document()), result, filter)
                        .forEach((metric, value) -> byMetric.computeIfAbsent(metric, _ -> new ArrayList<>())
                                .add(value));
            }
            for (TaskConfig.Metric metric : withOthers(byMetric.keySet())) {
                List<Object> values = byMetric.getOrDefault(metric.name(), List.of());
                if (!values.isEmpty()) {
                    figures.add(new MetricValue(
                            named(metric.name(), filter.name()),
                            metric.aggregation().of(values),
                            metric.aggregation().standardError(values),
                            values.size(),
                            metric.higherIsBetter()));
                }
            }
        }
        return figures;
    }

    /** The file's metrics, and means of those that a function adds to them. */
    private List<TaskConfig.Metric> withOthers(Set<String> found) {
        List<TaskConfig.Metric> all = new ArrayList<>(metrics);
        Set<String> known = metrics.stream().map(TaskConfig.Metric::name).collect(Collectors.toSet());
        found.stream()
                .filter(name -> !known.contains(name))
                .forEach(name -> all.add(
                        new TaskConfig.Metric(name, Aggregation.MEAN, Aggregation.higherIsBetter(name), Map.of())));
        return all;
    }

    /** The values of a document's figures: numbers, or what an {@link Aggregation} takes. */
    Map<String, Object> values(Map<String, @Nullable Object> document, DocumentResult result, ResponseFilter filter) {
        if (task.values().get("process_results") instanceof FunctionName function) {
            Object response = result.text() == null ? null : response(result, filter, document);
            return PythonFunctions.ofResults(function).apply(document, result.requests(), response);
        }
        Map<String, Object> all = switch (task.output()) {
            case LOGLIKELIHOOD -> {
                RequestResult only = result.requests().getFirst();
                Map<String, Object> values = new LinkedHashMap<>();
                values.put("perplexity", only.logLikelihood());
                values.put("acc", one(only.greedy()));
                yield values;
            }
            case LOGLIKELIHOOD_ROLLING ->
                PythonFunctions.rolled(
                        target(document), result.requests().getFirst().logLikelihood());
            case MULTIPLE_CHOICE -> chosen(document, result.requests());
            case GENERATE_UNTIL -> written(document, response(result, filter, document));
        };
        all.keySet().retainAll(metrics.stream().map(TaskConfig.Metric::name).toList());
        return all;
    }

    private @Nullable Object response(
            DocumentResult result, ResponseFilter filter, Map<String, @Nullable Object> document) {
        return filter.apply(java.util.Collections.nCopies(task.repeats(), String.valueOf(result.text())), document);
    }

    private String target(Map<String, @Nullable Object> document) {
        return PythonStr.of(texts.target(document, task.values().get("doc_to_target")));
    }

    private static double one(boolean yes) {
        return yes ? 1 : 0;
    }

    private Map<String, Object> chosen(Map<String, @Nullable Object> document, List<RequestResult> results) {
        List<String> choices = texts.choices(document, task.values().get("doc_to_choice"));
        int n = choices.size();
        double[] sums = sums(results, n);
        List<Integer> golds = golds(document);
        Map<String, Object> values = new LinkedHashMap<>();
        int gold = golds.getFirst();
        values.put("acc", one(golds.contains(greatest(sums))));
        values.put("f1", new Pair(gold, greatest(sums)));
        values.put("mcc", new Pair(gold, greatest(sums)));
        values.put("acc_norm", one(golds.contains(greatest(per(sums, choices, PythonText::length)))));
        values.put(
                "acc_bytes",
                one(golds.contains(
                        greatest(per(sums, choices, choice -> choice.getBytes(StandardCharsets.UTF_8).length)))));
        values.put(
                "exact_match",
                one(golds.stream()
                        .anyMatch(right -> right >= 0 && results.get(right).greedy())));
        values.put("brier_score", new Classes(gold, softmax(sums)));
        if (results.size() == 2 * n) {
            double[] gains = IntStream.range(0, n)
                    .mapToDouble(i -> sums[i] - results.get(n + i).logLikelihood())
                    .toArray();
            values.put("acc_mutual_info", one(greatest(gains) == gold));
        }
        return values;
    }

    /** The numbers of the right choices; −100 for one that is none of them. */
    private List<Integer> golds(Map<String, @Nullable Object> document) {
        List<String> choices = texts.choices(document, task.values().get("doc_to_choice"));
        Object gold = textsAreChoices
                ? texts.text(document, task.values().get("doc_to_text"))
                : texts.target(document, task.values().get("doc_to_target"));
        List<Integer> numbers = new ArrayList<>();
        for (Object one : gold instanceof List<?> several ? several : List.of(gold)) {
            int number = one instanceof Long index ? index.intValue() : choices.indexOf(String.valueOf(one));
            numbers.add(number < 0 || number >= choices.size() ? -100 : number);
        }
        return numbers.isEmpty() ? List.of(-100) : numbers;
    }

    private static double[] sums(List<RequestResult> results, int count) {
        return results.stream()
                .limit(count)
                .mapToDouble(RequestResult::logLikelihood)
                .toArray();
    }

    private static double[] per(double[] sums, List<String> choices, ToDoubleFunction<String> length) {
        return IntStream.range(0, sums.length)
                .mapToDouble(i -> sums[i] / length.applyAsDouble(choices.get(i)))
                .toArray();
    }

    /** The first of the greatest; no number counts as the greatest, as in NumPy. */
    private static int greatest(double[] values) {
        int best = 0;
        for (int i = 0; i < values.length; i++) {
            if (Double.isNaN(values[i])) {
                return i;
            }
            best = values[i] > values[best] ? i : best;
        }
        return best;
    }

    private static double[] softmax(double[] sums) {
        double greatest = Arrays.stream(sums).max().orElse(0);
        double[] powers =
                Arrays.stream(sums).map(sum -> Math.exp(sum - greatest)).toArray();
        double total = Arrays.stream(powers).sum();
        return Arrays.stream(powers).map(power -> power / total).toArray();
    }

    /** Judges what filters left of a text, or of several: a text or a list. */
    private Map<String, Object> written(Map<String, @Nullable Object> document, @Nullable Object response) {
        Object gold = texts.target(document, task.values().get("doc_to_target"));
        Object choices = task.values().get("doc_to_choice");
        if (choices != null && gold instanceof Long number) {
            gold = TaskTexts.choice(texts.choices(document, choices), number);
        } else if (severalTargets && gold instanceof String text) {
            // As Python's list(text): the harness takes the kind of the first document's answer for that of all.
            gold = text.codePoints().mapToObj(Character::toString).toList();
        }
        Map<String, Object> values = new LinkedHashMap<>();
        for (TaskConfig.Metric metric : metrics) {
            switch (metric.name()) {
                case "exact_match" -> values.put(metric.name(), equal(metric, response, gold));
                case "bypass" -> values.put(metric.name(), 999.0);
                case "bleu", "chrf", "chrf++", "ter" -> {
                    if (severalTargets) {
                        throw new BadDatasetException(task.place() + ": metric " + metric.name()
                                + " of several right texts; the harness cannot compute it either");
                    }
                    Object right = response instanceof String ? PythonStr.of(gold) : gold;
                    values.put(metric.name(), new Aggregation.Written(right, response == null ? "" : response));
                }
                default ->
                    throw new BadDatasetException(task.place() + ": metric " + metric.name()
                            + " of written text is not supported; supported: exact_match, bleu, chrf, chrf++, ter,"
                            + " bypass");
            }
        }
        return values;
    }

    /** The share of equal texts; of several right ones, whether any is equal. */
    private double equal(TaskConfig.Metric metric, @Nullable Object response, Object gold) {
        List<?> written = response instanceof List<?> several ? several : Arrays.asList(response);
        boolean isList = gold instanceof List<?> && (severalTargets || response instanceof List<?>);
        List<?> golds = isList ? (List<?>) gold : List.of(PythonStr.of(gold));
        if (severalTargets) {
            return one(written.stream()
                    .anyMatch(one ->
                            golds.stream().anyMatch(right -> equal(metric, PythonStr.of(one), PythonStr.of(right)))));
        }
        long equal = written.stream()
                .filter(one -> golds.stream().anyMatch(right -> equal(metric, PythonStr.of(one), PythonStr.of(right))))
                .count();
        return written.isEmpty() ? Double.NaN : (double) equal / written.size();
    }

    private static boolean equal(TaskConfig.Metric metric, String text, String right) {
        return plain(metric.options(), text).equals(plain(metric.options(), right));
    }

    private static String plain(Map<String, @Nullable Object> options, String text) {
        String plain = text;
        for (String ignored : TaskFiles.texts(options.get("regexes_to_ignore"))) {
            plain = PythonRegex.of(ignored).replace(plain, "", 0);
        }
        if (Boolean.TRUE.equals(options.get("ignore_case"))) {
            plain = plain.toLowerCase(Locale.ROOT);
        }
        if (Boolean.TRUE.equals(options.get("ignore_punctuation"))) {
            plain = AnswerWords.withoutPunctuation(plain);
        }
        return Boolean.TRUE.equals(options.get("ignore_numbers")) ? without(plain, "0123456789") : plain;
    }

    private static String without(String text, String characters) {
        StringBuilder left = new StringBuilder();
        text.chars().filter(c -> characters.indexOf(c) < 0).forEach(c -> left.append((char) c));
        return left.toString();
    }
}
