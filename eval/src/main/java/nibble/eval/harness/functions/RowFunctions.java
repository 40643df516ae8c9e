package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import nibble.datasets.PythonRandom;
import nibble.datasets.PythonText;
import nibble.datasets.evaluation.HellaSwagText;
import org.jspecify.annotations.Nullable;

/** Holds functions of the harness's tasks that choose and change the rows of a data set ({@code process_docs}). */
public final class RowFunctions {
    /** Changes rows. */
    public interface OfRows {
        /**
         * Returns the changed rows.
         *
         * @param random the generator that the harness's functions share, Python's own with seed 0
         */
        List<Map<String, @Nullable Object>> apply(List<Map<String, @Nullable Object>> rows, PythonRandom random);
    }

    private static final List<String> SUBJECTS = List.of(
            "biology",
            "business",
            "chemistry",
            "computer science",
            "economics",
            "engineering",
            "health",
            "history",
            "law",
            "math",
            "other",
            "philosophy",
            "physics",
            "psychology");
    private static final Pattern BRACKETS = Pattern.compile("\\[.*?\\]", Pattern.UNIX_LINES);

    /** By the file's name and the function's. */
    public static final Map<String, OfRows> KNOWN = known();

    private RowFunctions() {}

    private static Map<String, OfRows> known() {
        Map<String, OfRows> known = new LinkedHashMap<>();
        known.put("hellaswag/utils.process_docs", each(RowFunctions::hellaswag));
        known.put("drop/utils.process_docs", each(DropAnswers::row));
        known.put("leaderboard/gpqa/utils.process_docs", RowFunctions::shuffledChoices);
        known.put("hendrycks_math/utils.process_docs", each(row -> solved(row, false)));
        known.put(
                "leaderboard/math/utils.process_docs",
                (rows, _) -> rows.stream()
                        .filter(row -> "Level 5".equals(row.get("level")))
                        .map(row -> solved(row, true))
                        .toList());
        for (String subject : SUBJECTS) {
            known.put(
                    "mmlu_pro/utils.process_" + subject.replace(' ', '_'),
                    (rows, _) -> rows.stream()
                            .filter(row -> subject.equals(row.get("category")))
                            .toList());
        }
        return Map.copyOf(known);
    }

    private static OfRows each(UnaryOperator<Map<String, @Nullable Object>> change) {
        return (rows, _) -> rows.stream().map(change).toList();
    }

    private static Map<String, @Nullable Object> hellaswag(Map<String, @Nullable Object> row) {
        if (row.containsKey("query")) {
            return row;
        }
        Map<String, @Nullable Object> made = new LinkedHashMap<>(row);
        made.put(
                "query",
                HellaSwagText.query(
                        QuestionFunctions.text(row, "activity_label"),
                        QuestionFunctions.text(row, "ctx_a"),
                        QuestionFunctions.text(row, "ctx_b")));
        List<String> choices = new ArrayList<>();
        for (Object ending : row.get("endings") instanceof List<?> list ? list : List.of()) {
            choices.add(HellaSwagText.clean(String.valueOf(ending)));
        }
        made.put("choices", choices);
        made.put("gold", Long.parseLong(String.valueOf(row.get("label")).strip()));
        return made;
    }

    private static List<Map<String, @Nullable Object>> shuffledChoices(
            List<Map<String, @Nullable Object>> rows, PythonRandom random) {
        List<Map<String, @Nullable Object>> made = new ArrayList<>();
        for (Map<String, @Nullable Object> row : rows) {
            String right = plain(row.get("Correct Answer"));
            List<String> choices = new ArrayList<>();
            for (String column : List.of("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")) {
                choices.add(plain(row.get(column)));
            }
            choices.add(right);
            random.shuffle(choices);
            Map<String, @Nullable Object> one = new LinkedHashMap<>(row);
            for (int i = 0; i < choices.size(); i++) {
                one.put("choice" + (i + 1), choices.get(i));
            }
            one.put("answer", "(" + (char) ('A' + choices.indexOf(right)) + ")");
            made.add(one);
        }
        return made;
    }

    private static String plain(@Nullable Object text) {
        if (text == null) {
            return " ";
        }
        String plain = PythonText.strip(Objects.toString(text)).replace(" [title]", ". ");
        return BRACKETS.matcher(plain).replaceAll("").replace("  ", " ");
    }

    private static Map<String, @Nullable Object> solved(Map<String, @Nullable Object> row, boolean lenient) {
        Map<String, @Nullable Object> made = new LinkedHashMap<>(row);
        made.put("answer", MathAnswers.boxed(QuestionFunctions.text(row, "solution"), lenient));
        return made;
    }
}
