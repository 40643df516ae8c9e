package nibble.eval.harness;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import nibble.jinja.PythonRegex;
import nibble.jinja.python.PythonException;
import org.jspecify.annotations.Nullable;

/** Takes responses through the steps of a filter, one document at a time. */
final class ResponseFilter {
    private static final String INVALID = "[invalid]";

    /** A step: the responses of a document, a list or the one that an earlier step chose. */
    interface Step {
        @Nullable
        Object apply(@Nullable Object responses, Map<String, @Nullable Object> document);
    }

    private final String name;
    private final List<Step> steps = new ArrayList<>();

    /** @throws BadDatasetException if a step is unknown or lacks a value */
    ResponseFilter(TaskConfig task, TaskConfig.Filter filter) {
        this.name = filter.name();
        for (Map<String, @Nullable Object> keys : filter.steps()) {
            try {
                steps.add(step(task, keys));
            } catch (PythonException e) {
                throw new BadDatasetException(task.place() + ": filter " + name + ": " + e.getMessage(), e);
            }
        }
    }

    String name() {
        return name;
    }

    @Nullable
    Object apply(List<String> responses, Map<String, @Nullable Object> document) {
        Object value = responses;
        for (Step step : steps) {
            value = step.apply(value, document);
        }
        return value;
    }

    private static Step step(TaskConfig task, Map<String, @Nullable Object> keys) {
        Object function = keys.get("function");
        if (function instanceof FunctionName python) {
            return PythonFunctions.ofFilter(python).apply(keys);
        }
        return switch (String.valueOf(function)) {
            case "take_first" -> (value, _) -> value instanceof List<?> list ? list.getFirst() : first(value);
            case "take_first_k" -> firstOnes(task, keys);
            case "majority_vote" -> (value, _) -> List.of(mostCommon(items(value)));
            case "remove_whitespace" -> each(PythonText::strip);
            case "lowercase" -> each(text -> text.toLowerCase(Locale.ROOT));
            case "uppercase" -> each(text -> text.toUpperCase(Locale.ROOT));
            case "map" -> mapped(keys);
            case "format_span" -> each(SpanFormat::of);
            case "regex_pos" ->
                (value, _) -> items(value).stream()
                        .map(one -> tags(text(one), keys.get("fallback")))
                        .toList();
            case "regex" -> regex(keys);
            case "multi_choice_regex" -> ofChoices(keys, ResponseFilter::choices);
            default ->
                throw new BadDatasetException(task.place() + ": filter " + function + " is not supported; supported:"
                        + " take_first, take_first_k,"
                        + " majority_vote,"
                        + " remove_whitespace, lowercase,"
                        + " uppercase, map, regex,"
                        + " multi_choice_regex, regex_pos, format_span");
        };
    }

    /** A step over a text goes over its characters, as Python's loops do. */
    static List<Object> items(@Nullable Object value) {
        if (value instanceof List<?> list) {
            return new ArrayList<>(list);
        }
        return String.valueOf(value)
                .codePoints()
                .mapToObj(point -> (Object) Character.toString(point))
                .toList();
    }

    private static Object first(@Nullable Object value) {
        List<Object> items = items(value);
        return items.isEmpty() ? "" : items.getFirst();
    }

    static Step each(UnaryOperator<String> change) {
        return (value, _) -> items(value).stream()
                .map(one -> (Object) change.apply(text(one)))
                .toList();
    }

    static String text(@Nullable Object one) {
        return one instanceof String text ? text : "";
    }

    private static final PythonRegex TAGGED = PythonRegex.of("\\('([^']*)', '([^']*)'\\)");

    /** The second of each pair of texts in brackets. */
    private static Object tags(String text, @Nullable Object fallback) {
        List<String> tags = TAGGED.findAll(text).stream().map(List::getLast).toList();
        return !tags.isEmpty() ? tags : fallback == null ? List.of("invalid") : fallback;
    }

    private static Step firstOnes(TaskConfig task, Map<String, @Nullable Object> keys) {
        int k = keys.get("k") instanceof Long number ? number.intValue() : 0;
        if (k < 1 || k > task.repeats()) {
            throw new BadDatasetException(
                    task.place() + ": take_first_k of " + k + " responses, repeats has " + task.repeats());
        }
        return (value, _) -> items(value).subList(0, k);
    }

    /** The most frequent, the first of several. */
    private static Object mostCommon(List<Object> items) {
        Map<Object, Integer> counts = new LinkedHashMap<>();
        items.forEach(item -> counts.merge(item, 1, Integer::sum));
        int most = counts.values().stream().max(Comparator.naturalOrder()).orElse(0);
        return counts.entrySet().stream()
                .filter(entry -> entry.getValue() == most)
                .findFirst()
                .map(Map.Entry::getKey)
                .orElse("");
    }

    private static Step mapped(Map<String, @Nullable Object> keys) {
        Map<?, ?> map = keys.get("mapping_dict") instanceof Map<?, ?> given ? given : Map.of();
        Object otherwise = keys.get("default_value");
        return (value, _) -> {
            List<@Nullable Object> found = new ArrayList<>();
            for (Object one : items(value)) {
                found.add(map.containsKey(one) ? map.get(one) : otherwise);
            }
            return found;
        };
    }

    static PythonRegex pattern(Map<String, @Nullable Object> keys) {
        Object pattern = keys.get("regex_pattern");
        return PythonRegex.of(pattern == null ? "#### (\\-?[0-9\\.\\,]+)" : pattern.toString());
    }

    static int group(Map<String, @Nullable Object> keys) {
        return keys.get("group_select") instanceof Long number ? number.intValue() : 0;
    }

    static String fallback(Map<String, @Nullable Object> keys) {
        Object fallback = keys.get("fallback");
        return fallback == null ? INVALID : fallback.toString();
    }

    private static Step regex(Map<String, @Nullable Object> keys) {
        PythonRegex regex = pattern(keys);
        return each(text -> {
            String found = selected(regex.findAll(text), group(keys));
            return found == null ? fallback(keys) : PythonText.strip(found.isEmpty() ? fallback(keys) : found);
        });
    }

    /** The first group of a match that is not empty; null where nothing matches. */
    static @Nullable String selected(List<List<String>> matches, int number) {
        int index = number < 0 ? matches.size() + number : number;
        if (index < 0 || index >= matches.size()) {
            return null;
        }
        List<String> groups = matches.get(index);
        return groups.size() == 1
                ? groups.getFirst()
                : groups.stream().filter(group -> !group.isEmpty()).findFirst().orElse("");
    }

    /** Finds a letter of a choice: by the expression, then by the choices' own texts, then behind a colon. */
    static Step ofChoices(
            Map<String, @Nullable Object> keys, Function<Map<String, @Nullable Object>, List<String>> choices) {
        PythonRegex regex = pattern(keys);
        UnaryOperator<String> plain = plain(keys);
        return (value, document) -> {
            Map<String, String> letters = new LinkedHashMap<>();
            List<String> bare = new ArrayList<>();
            for (String choice : choices.apply(document)) {
                String letter = Character.toString('A' + bare.size());
                letters.put(plain.apply(PythonText.strip(choice)), "(" + letter + ")");
                bare.add(letter);
            }
            PythonRegex texts = PythonRegex.of(letters.keySet().stream()
                    .sorted(Comparator.comparingInt((String text) -> -PythonText.length(text)))
                    .map(ResponseFilter::literal)
                    .collect(Collectors.joining("|")));
            PythonRegex behindColon = PythonRegex.of(":[\\s]*(" + String.join("|", bare) + ")");
            List<Object> found = new ArrayList<>();
            for (Object one : items(value)) {
                String response = text(one);
                String match = stripped(selected(regex.findAll(response), group(keys)));
                if (match.isEmpty()) {
                    String own = stripped(selected(texts.findAll(plain.apply(response)), group(keys)));
                    match = letters.getOrDefault(own, own);
                }
                if (match.isEmpty()) {
                    String letter = stripped(selected(behindColon.findAll(response), group(keys)));
                    match = letter.isEmpty() ? "" : "(" + letter + ")";
                }
                found.add(match.isEmpty() ? fallback(keys) : match);
            }
            return found;
        };
    }

    private static List<String> choices(Map<String, @Nullable Object> document) {
        return document.get("choices") instanceof List<?> list
                ? list.stream().map(String::valueOf).toList()
                : List.of();
    }

    private static String literal(String text) {
        return text.replaceAll("([^\\p{L}\\p{N}\\s])", "\\\\$1");
    }

    static String stripped(@Nullable String text) {
        return text == null ? "" : PythonText.strip(text);
    }

    static UnaryOperator<String> plain(Map<String, @Nullable Object> keys) {
        List<PythonRegex> ignored = TaskFiles.texts(keys.get("regexes_to_ignore")).stream()
                .map(PythonRegex::of)
                .toList();
        Pattern punctuation = Pattern.compile("\\p{P}");
        return text -> {
            String plain = text;
            for (PythonRegex regex : ignored) {
                plain = regex.replace(plain, "", 0);
            }
            plain = Boolean.TRUE.equals(keys.get("ignore_case")) ? plain.toLowerCase(Locale.ROOT) : plain;
            return Boolean.TRUE.equals(keys.get("ignore_punctuation"))
                    ? punctuation.matcher(plain).replaceAll("")
                    : plain;
        };
    }
}
