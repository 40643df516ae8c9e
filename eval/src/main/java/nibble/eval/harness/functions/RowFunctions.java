package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.stream.Stream;
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
        known.put(
                "leaderboard/gpqa/utils.process_docs",
                (rows, random) -> shuffledChoices(rows, random, RowFunctions::plain));
        known.put(
                "gpqa/zeroshot/utils.process_docs",
                (rows, random) -> shuffledChoices(rows, random, RowFunctions::titled));
        known.put("gpqa/generative/utils.process_docs", (rows, random) -> {
            List<Map<String, @Nullable Object>> made = shuffledChoices(rows, random, RowFunctions::titled);
            made.forEach(row -> row.put(
                    "choices",
                    Stream.of("choice1", "choice2", "choice3", "choice4")
                            .map(row::get)
                            .toList()));
            return made;
        });
        known.put("wsc273/utils.process_doc", each(ReferenceRows::winograd));
        known.put("super_glue/record/util.process_docs", each(ReferenceRows::entities));
        known.put("arithmetic/utils.process_docs", each(RowFunctions::sum));
        known.put("okapi/arc_multilingual/utils.process_docs", each(RowFunctions::translatedArc));
        known.put("minerva_math/utils.process_docs", each(RowFunctions::finallySolved));
        known.put("hendrycks_math/utils.process_docs", each(row -> solved(row, false)));
        known.put(
                "leaderboard/math/utils.process_docs",
                (rows, _) -> rows.stream()
                        .filter(row -> "Level 5".equals(row.get("level")))
                        .map(row -> solved(row, true))
                        .toList());
        for (String subject : SUBJECTS) {
            OfRows own = (rows, _) -> rows.stream()
                    .filter(row -> subject.equals(row.get("category")))
                    .toList();
            for (String family : List.of("mmlu_pro", "mmlu-pro-plus")) {
                known.put(family + "/utils.process_" + subject.replace(' ', '_'), own);
            }
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
            List<Map<String, @Nullable Object>> rows, PythonRandom random, Function<@Nullable Object, String> plain) {
        List<Map<String, @Nullable Object>> made = new ArrayList<>();
        for (Map<String, @Nullable Object> row : rows) {
            String right = plain.apply(row.get("Correct Answer"));
            List<String> choices = new ArrayList<>();
            for (String column : List.of("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")) {
                choices.add(plain.apply(row.get(column)));
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
        return text == null ? " " : unbracketed(Objects.toString(text));
    }

    private static String unbracketed(String text) {
        String plain = PythonText.strip(text).replace(" [title]", ". ");
        return BRACKETS.matcher(plain).replaceAll("").replace("  ", " ");
    }

    private static String titled(@Nullable Object text) {
        return text == null
                ? " "
                : PythonText.strip(Objects.toString(text))
                        .replace(" [title]", ". ")
                        .replace("  ", " ");
    }

    private static Map<String, @Nullable Object> sum(Map<String, @Nullable Object> row) {
        Map<String, @Nullable Object> made = new LinkedHashMap<>(row);
        made.put(
                "context",
                PythonText.strip(QuestionFunctions.text(row, "context"))
                        .replace("\n\n", "\n")
                        .replace("Q:", "Question:")
                        .replace("A:", "Answer:"));
        return made;
    }

    private static Map<String, @Nullable Object> translatedArc(Map<String, @Nullable Object> row) {
        Map<String, @Nullable Object> made = new LinkedHashMap<>(row);
        made.put("query", "Question: " + unbracketed(QuestionFunctions.text(row, "instruction")) + "\nAnswer:");
        made.put(
                "choices",
                Stream.of("option_a", "option_b", "option_c", "option_d", "option_e")
                        .map(row::get)
                        .filter(option -> option instanceof String text && !text.isEmpty())
                        .map(option -> unbracketed(String.valueOf(option)))
                        .toList());
        made.put("gold", (long) "ABCDE".indexOf(QuestionFunctions.text(row, "answer")));
        return made;
    }

    private static Map<String, @Nullable Object> finallySolved(Map<String, @Nullable Object> row) {
        Map<String, @Nullable Object> made = solved(row, false);
        made.put("answer", FinalAnswers.written(QuestionFunctions.text(made, "answer")));
        return made;
    }

    private static Map<String, @Nullable Object> solved(Map<String, @Nullable Object> row, boolean lenient) {
        Map<String, @Nullable Object> made = new LinkedHashMap<>(row);
        made.put("answer", MathAnswers.boxed(QuestionFunctions.text(row, "solution"), lenient));
        return made;
    }
}
