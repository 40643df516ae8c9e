package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import org.jspecify.annotations.Nullable;

/** Makes the texts of tasks that ask what a word refers to: Winograd's schemas (wsc273, wsc) and ReCoRD. */
public final class ReferenceRows {
    private static final List<String> OF_SOMEBODY = List.of("my", "his", "her", "our", "their");
    private static final List<String> CAPITALIZED =
            List.of("A", "An", "The", "She", "He", "It", "They", "My", "His", "Her", "Their");

    private ReferenceRows() {}

    /** Both options as they stand in the sentence in the pronoun's place. */
    static Map<String, @Nullable Object> winograd(Map<String, @Nullable Object> row) {
        Map<String, @Nullable Object> made = new LinkedHashMap<>(row);
        String text = QuestionFunctions.text(row, "text").replace("  ", " ");
        String pronoun = QuestionFunctions.text(row, "pronoun");
        int place = QuestionFunctions.value(row, "pronoun_loc") instanceof Long number ? number.intValue() : -1;
        int[] points = text.codePoints().toArray();
        // A place before the second character counts from the end, as Python's indices do.
        int before = Math.floorMod(place - 2, points.length);
        boolean begins = points[before] == '.';
        List<String> options = new ArrayList<>();
        for (Object one : QuestionFunctions.list(row, "options")) {
            String option = String.valueOf(one);
            option = OF_SOMEBODY.contains(pronoun.toLowerCase(Locale.ROOT)) ? option + "'s" : option;
            List<String> words = AnswerWords.split(option);
            if (words.isEmpty()) {
                throw new BadDatasetException("wsc273: a document has an empty option");
            }
            String first = words.getFirst();
            boolean small = !begins && CAPITALIZED.contains(first);
            options.add(small ? option.replace(first, first.toLowerCase(Locale.ROOT)) : option);
        }
        made.put("text", text);
        made.put("options", options);
        return made;
    }

    /** Each name once, in Python's order of texts. */
    static Map<String, @Nullable Object> entities(Map<String, @Nullable Object> row) {
        Map<String, @Nullable Object> made = new LinkedHashMap<>(row);
        for (String column : List.of("entities", "answers")) {
            TreeSet<String> sorted = new TreeSet<>(PythonStr::compare);
            QuestionFunctions.list(row, column).forEach(one -> sorted.add(String.valueOf(one)));
            made.put(column, List.copyOf(sorted));
        }
        return made;
    }

    static Object passage(Map<String, @Nullable Object> document) {
        String[] parts =
                PythonText.strip(QuestionFunctions.text(document, "passage")).split("\n@highlight\n", -1);
        StringBuilder text = new StringBuilder(parts[0]).append("\n\n");
        for (int i = 1; i < parts.length; i++) {
            text.append("  - ").append(parts[i]).append(".\n");
        }
        return text.toString();
    }

    private static String filled(Map<String, @Nullable Object> document, Object name) {
        return ("  - " + QuestionFunctions.text(document, "query")).replace("@placeholder", String.valueOf(name));
    }

    static Object rightChoice(Map<String, @Nullable Object> document) {
        return filled(document, QuestionFunctions.list(document, "answers").getFirst());
    }

    static Object choices(Map<String, @Nullable Object> document) {
        return QuestionFunctions.list(document, "entities").stream()
                .map(name -> filled(document, name))
                .toList();
    }

    /** Compares the likeliest name with the right ones. */
    public static Map<String, Object> scores(Map<String, @Nullable Object> document, int pick) {
        String picked =
                String.valueOf(QuestionFunctions.list(document, "entities").get(pick));
        Map<String, Object> scores = new LinkedHashMap<>();
        List<String> golds = QuestionFunctions.list(document, "answers").stream()
                .map(String::valueOf)
                .toList();
        scores.put(
                "f1",
                golds.stream()
                        .mapToDouble(gold -> AnswerWords.overlap(picked, gold))
                        .max()
                        .orElse(0));
        scores.put(
                "em",
                golds.stream()
                        .mapToDouble(gold -> AnswerWords.same(picked, gold))
                        .max()
                        .orElse(0));
        return scores;
    }

    /** The passage with its pronoun between stars, and the question what it refers to. */
    static Object pronoun(Map<String, @Nullable Object> document) {
        String text = QuestionFunctions.text(document, "text");
        String pronoun = QuestionFunctions.text(document, "span2_text");
        int words = QuestionFunctions.value(document, "span2_index") instanceof Long number ? number.intValue() : 0;
        List<String> all = AnswerWords.split(text);
        String before = String.join(" ", all.subList(0, Math.min(words, all.size())));
        int end = Math.min(PythonText.length(text), PythonText.length(before) + PythonText.length(pronoun) + 1);
        String after = text.substring(text.offsetByCodePoints(0, end));
        String passage = (before + " *" + pronoun + "*" + after)
                .replace(" n't", "n't")
                .replace(" )", ")")
                .replace("( ", "(")
                .replace("\" ", "\"")
                .replace(" \"", "\"")
                .replaceAll(" (['.,])", "$1");
        return "Passage: " + passage + "\nQuestion: In the passage above, does the pronoun \"*" + pronoun
                + "*\" refer to \"*" + QuestionFunctions.text(document, "span1_text") + "*\"?\nAnswer:";
    }
}
