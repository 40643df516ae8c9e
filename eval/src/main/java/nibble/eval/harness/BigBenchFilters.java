package nibble.eval.harness;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import nibble.datasets.BadDatasetException;
import nibble.eval.harness.ResponseFilter.Step;
import nibble.eval.harness.functions.AnswerWords;
import nibble.eval.harness.functions.EnglishNumber;
import nibble.eval.harness.functions.QuestionFunctions;
import nibble.jinja.PythonRegex;
import org.jspecify.annotations.Nullable;

/** Finds the answers to BIG-Bench Hard in written texts: letters, words, numbers, sorted lists. */
final class BigBenchFilters {
    private static final PythonRegex CHOICES = PythonRegex.of("\\([A-Z]\\)([^\\n^(]*)");

    /** By the file's name and the function's. */
    static final Map<String, Function<Map<String, @Nullable Object>, Step>> KNOWN = Map.of(
            "bbh/zeroshot/utils.MultiChoiceRegexFilter",
            keys -> ResponseFilter.ofChoices(keys, BigBenchFilters::choices),
            "bbh/zeroshot/utils.MapRegexFilter",
            BigBenchFilters::word,
            "bbh/zeroshot/utils.NumberParseRegexFilter",
            BigBenchFilters::number,
            "bbh/zeroshot/utils.WordSortFilter",
            _ -> BigBenchFilters::sorted);

    private BigBenchFilters() {}

    /** The choices that stand in a question, behind (A), (B), …. */
    private static List<String> choices(Map<String, @Nullable Object> document) {
        return CHOICES.findAll(QuestionFunctions.text(document, "input")).stream()
                .map(List::getFirst)
                .toList();
    }

    /** What the first expression that matches stands for. */
    private static Step word(Map<String, @Nullable Object> keys) {
        Map<PythonRegex, String> values = new LinkedHashMap<>();
        List<String> sources = new ArrayList<>();
        if (keys.get("regex_pattern_to_value") instanceof Map<?, ?> map) {
            map.forEach((source, value) -> {
                sources.add(String.valueOf(source));
                values.put(PythonRegex.of(String.valueOf(source)), String.valueOf(value));
            });
        }
        PythonRegex any = PythonRegex.of(String.join("|", sources));
        UnaryOperator<String> plain = ResponseFilter.plain(keys);
        int group = ResponseFilter.group(keys);
        return ResponseFilter.each(text -> {
            String found = ResponseFilter.stripped(ResponseFilter.selected(any.findAll(plain.apply(text)), group));
            return values.entrySet().stream()
                    .filter(entry -> !found.isEmpty()
                            && !ResponseFilter.stripped(ResponseFilter.selected(
                                            entry.getKey().findAll(plain.apply(found)), group))
                                    .isEmpty())
                    .map(entry -> Objects.requireNonNull(entry.getValue()))
                    .findFirst()
                    .orElseGet(() -> ResponseFilter.fallback(keys));
        });
    }

    /** A number in digits, else one in words. */
    private static Step number(Map<String, @Nullable Object> keys) {
        PythonRegex digits = ResponseFilter.pattern(keys);
        int group = ResponseFilter.group(keys);
        return ResponseFilter.each(text -> {
            String found = ResponseFilter.stripped(ResponseFilter.selected(digits.findAll(text), group));
            return found.isEmpty()
                    ? EnglishNumber.in(text, group).orElseGet(() -> ResponseFilter.fallback(keys))
                    : found;
        });
    }

    /** The words of the question's list in the order of their last places in the text. */
    private static Object sorted(@Nullable Object responses, Map<String, @Nullable Object> document) {
        String[] parts = QuestionFunctions.text(document, "input").split("List:", -1);
        if (parts.length < 2) {
            throw new BadDatasetException("word_sorting: no list in the question: " + document.get("input"));
        }
        List<String> bounded = AnswerWords.split(parts[1]).stream()
                .map(word -> "\\b" + word + "\\b")
                .toList();
        PythonRegex words = PythonRegex.of(String.join("|", bounded));
        List<String> sorted = new ArrayList<>();
        for (Object one : ResponseFilter.items(responses)) {
            Set<String> fromEnd = new LinkedHashSet<>();
            words.findAll(ResponseFilter.text(one)).reversed().forEach(match -> fromEnd.add(match.getFirst()));
            sorted.add(String.join(" ", List.copyOf(fromEnd).reversed()));
        }
        return sorted;
    }
}
