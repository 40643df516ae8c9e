package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import nibble.jinja.python.Repr;
import org.jspecify.annotations.Nullable;

/** Finds drop's right answers in a document, and compares a text with them by their words. */
public final class DropAnswers {
    private static final Pattern NUMBER = Pattern.compile(
            "(?i)[+-]?(\\d+(_\\d+)*\\.?(\\d+(_\\d+)*)?|\\.\\d+(_\\d+)*)(e[+-]?\\d+(_\\d+)*)?|[+-]?(inf|infinity|nan)");

    private DropAnswers() {}

    static Map<String, @Nullable Object> row(Map<String, @Nullable Object> row) {
        Set<List<String>> answers = new LinkedHashSet<>();
        answers.add(answer(row.get("answer")));
        if (row.get("validated_answers") instanceof Map<?, ?> more) {
            for (int i = 0; i < QuestionFunctions.list(more, "number").size(); i++) {
                Map<String, @Nullable Object> one = new LinkedHashMap<>();
                for (String key : List.of("number", "date", "spans")) {
                    one.put(key, QuestionFunctions.list(more, key).get(i));
                }
                answers.add(answer(one));
            }
        }
        Map<String, @Nullable Object> made = new LinkedHashMap<>(row);
        made.put("id", row.get("query_id"));
        made.put("answers", List.copyOf(answers));
        return made;
    }

    private static List<String> answer(@Nullable Object answer) {
        if (!(answer instanceof Map<?, ?> map)) {
            throw new BadDatasetException("drop: a document's answer is " + answer);
        }
        if (!Objects.equals(map.get("number"), "")) {
            return List.of(PythonStr.of(map.get("number")));
        }
        if (map.get("spans") instanceof List<?> spans && !spans.isEmpty()) {
            return spans.stream().map(String::valueOf).toList();
        }
        if (map.get("date") instanceof Map<?, ?> date) {
            return List.of(PythonText.strip(date.get("day") + " " + date.get("month") + " " + date.get("year")));
        }
        throw new BadDatasetException("drop: an answer without a number, spans or a date");
    }

    public static Map<String, Object> scores(Map<String, @Nullable Object> document, @Nullable Object response) {
        String written = normalized(String.valueOf(response));
        double same = 0;
        double overlap = 0;
        for (Object gold : QuestionFunctions.list(document, "answers")) {
            List<?> spans = gold instanceof List<?> list ? list : List.of(gold);
            if (spans.isEmpty()
                    || PythonText.strip(String.valueOf(spans.getFirst())).isEmpty()) {
                continue;
            }
            List<String> right =
                    spans.stream().map(span -> normalized(String.valueOf(span))).toList();
            same = Math.max(same, right.equals(List.of(written)) ? 1 : 0);
            // One text can be set against one span alone, the best.
            double best = right.stream()
                    .mapToDouble(span -> overlap(words(written), words(span)))
                    .max()
                    .orElse(0);
            overlap = Math.max(overlap, Math.rint(best / right.size() * 100) / 100);
        }
        Map<String, Object> scores = new LinkedHashMap<>();
        scores.put("em", same);
        scores.put("f1", overlap);
        return scores;
    }

    private static Set<String> words(String text) {
        return new HashSet<>(AnswerWords.split(text));
    }

    private static double overlap(Set<String> written, Set<String> right) {
        Set<String> numbers = new HashSet<>(right);
        numbers.removeIf(word -> !isNumber(word));
        Set<String> common = new HashSet<>(right);
        common.retainAll(written);
        if (!numbers.isEmpty() && numbers.stream().noneMatch(common::contains)) {
            return 0;
        }
        double precision = written.isEmpty() ? 1 : (double) common.size() / written.size();
        double recall = right.isEmpty() ? 1 : (double) common.size() / right.size();
        return precision + recall == 0 ? 0 : 2 * precision * recall / (precision + recall);
    }

    private static boolean isNumber(String text) {
        return NUMBER.matcher(PythonText.strip(text)).matches();
    }

    private static String normalized(String answer) {
        List<String> words = new ArrayList<>();
        for (String part : answer.split("[ -]", -1)) {
            String lower = part.toLowerCase(Locale.ROOT);
            String plain = isNumber(lower) ? lower : AnswerWords.withoutPunctuation(lower);
            String fixed = isNumber(plain) ? number(plain) : plain;
            words.addAll(AnswerWords.split(AnswerWords.ARTICLES.matcher(fixed).replaceAll(" ")));
        }
        return String.join(" ", words);
    }

    /** As Python writes it. */
    private static String number(String text) {
        String plain = PythonText.strip(text).replace("_", "");
        String digits = plain.replace("+", "").replace("-", "");
        double value = switch (digits) {
            case "inf", "infinity" -> Double.POSITIVE_INFINITY;
            case "nan" -> Double.NaN;
            default -> Double.parseDouble(plain);
        };
        return Repr.str(plain.startsWith("-") && Double.isInfinite(value) ? -value : value);
    }
}
