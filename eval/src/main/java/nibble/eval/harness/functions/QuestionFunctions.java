package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import nibble.datasets.evaluation.WikitextDetokenizer;
import org.jspecify.annotations.Nullable;

/** Holds functions of the harness's tasks that make a question, its choices or its answer of a document. */
public final class QuestionFunctions {
    private static final List<String> LETTERS =
            List.of("A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P");
    private static final int OF_MMLU_PRO = 10;
    private static final Pattern OPTION = Pattern.compile("[abcd] \\) .*?, |e \\) .*?$", Pattern.UNIX_LINES);

    /** By the file's name and the function's. */
    public static final Map<String, Function<Map<String, @Nullable Object>, Object>> KNOWN = Map.ofEntries(
            Map.entry("winogrande/preprocess_winogrande.doc_to_text", QuestionFunctions::option),
            Map.entry("winogrande/preprocess_winogrande.doc_to_target", QuestionFunctions::rest),
            Map.entry("winogrande/preprocess_winogrande.doc_to_choice", QuestionFunctions::filled),
            Map.entry(
                    "wikitext/preprocess_wikitext.wikitext_detokenizer", d -> WikitextDetokenizer.of(text(d, "page"))),
            Map.entry("leaderboard/musr/utils.doc_to_choice", d -> literal(text(d, "choices"))),
            Map.entry("leaderboard/musr/utils.doc_to_text", QuestionFunctions::mystery),
            Map.entry(
                    "leaderboard/mmlu_pro/utils.doc_to_text",
                    d -> text(d, "question") + "\n" + lettered(list(d, "options"), OF_MMLU_PRO) + "Answer:"),
            Map.entry(
                    "leaderboard/mmlu_pro/utils.doc_to_choice",
                    d -> LETTERS.subList(
                            0, Math.min(OF_MMLU_PRO, list(d, "options").size()))),
            Map.entry("mmlu_pro/utils.doc_to_text", d -> stepByStep(d, OF_MMLU_PRO)),
            Map.entry("mmlu_pro/utils.fewshot_to_text", d -> stepByStep(d, OF_MMLU_PRO)),
            Map.entry("mmlu_pro/utils.fewshot_to_target", QuestionFunctions::thought),
            Map.entry("mmlu-pro-plus/utils.doc_to_text", d -> stepByStep(d, LETTERS.size())),
            Map.entry("mmlu-pro-plus/utils.fewshot_to_text", d -> stepByStep(d, LETTERS.size())),
            Map.entry("mmlu-pro-plus/utils.fewshot_to_target", QuestionFunctions::thought),
            Map.entry(
                    "logiqa2/utils_logiqa2.doc_to_text",
                    d -> "Passage: " + text(d, "text") + "\nQuestion: " + text(d, "question") + "\n"
                            + lettered(list(d, "options"), 4) + "Answer:"),
            Map.entry(
                    "medmcqa/utils_medmcqa.doc_to_text",
                    d -> "Question: " + text(d, "question") + "\nChoices:\n"
                            + lettered(List.of(text(d, "opa"), text(d, "opb"), text(d, "opc"), text(d, "opd")), 4)
                            + "Answer:"),
            Map.entry("glue/mnli/utils.doc_to_text", QuestionFunctions::entailment),
            Map.entry("xwinograd/utils.doc_to_text", QuestionFunctions::option),
            Map.entry("xwinograd/utils.doc_to_target", QuestionFunctions::rest),
            Map.entry("xwinograd/utils.doc_to_choice", QuestionFunctions::filled),
            Map.entry(
                    "toxigen/utils.doc_to_target",
                    d -> number(d, "toxicity_ai") + number(d, "toxicity_human") > 5.5 ? 1L : 0L),
            Map.entry("super_glue/wsc/preprocess_wsc.default_doc_to_text", ReferenceRows::pronoun),
            Map.entry("super_glue/record/util.doc_to_text", ReferenceRows::passage),
            Map.entry("super_glue/record/util.doc_to_target", ReferenceRows::rightChoice),
            Map.entry("super_glue/record/util.doc_to_choice", ReferenceRows::choices),
            Map.entry("minerva_math/utils.doc_to_text", QuestionFunctions::problem),
            Map.entry("race/preprocess_race.doc_to_text", RaceArticle::text),
            Map.entry("race/preprocess_race.doc_to_choice", RaceArticle::choices),
            Map.entry("race/preprocess_race.doc_to_target", RaceArticle::target),
            Map.entry(
                    "logiqa/utils_logiqa.doc_to_text",
                    d -> "Passage: " + text(d, "context") + "\nQuestion: " + text(d, "question") + "\nChoices:\n"
                            + lettered(list(d, "options"), 4) + "Answer:"),
            Map.entry("logiqa/utils_logiqa.doc_to_target", d ->
                    (long) List.of("a", "b", "c", "d").indexOf(PythonText.strip(text(d, "label")))),
            Map.entry("super_glue/copa/utils.doc_to_text", QuestionFunctions::premise),
            Map.entry(
                    "super_glue/copa/utils.doc_to_target",
                    d -> joined(text(d, Long.valueOf(0).equals(d.get("label")) ? "choice1" : "choice2"))),
            Map.entry(
                    "super_glue/copa/utils.doc_to_choice",
                    d -> List.of(joined(text(d, "choice1")), joined(text(d, "choice2")))),
            Map.entry(
                    "pubmedqa/preprocess_pubmedqa.doc_to_text",
                    d -> "Abstract: "
                            + String.join(
                                    "\n",
                                    list(d, "CONTEXTS").stream()
                                            .map(String::valueOf)
                                            .toList())
                            + "\nQuestion: " + text(d, "QUESTION") + "\nAnswer:"),
            Map.entry(
                    "medqa/preprocess_medqa.doc_to_text",
                    d -> "Question: " + text(d, "sent1") + "\n"
                            + lettered(
                                    List.of(
                                            text(d, "ending0"),
                                            text(d, "ending1"),
                                            text(d, "ending2"),
                                            text(d, "ending3")),
                                    4)
                            + "Answer:"),
            Map.entry("medqa/preprocess_medqa.doc_to_target", d -> value(d, "label")),
            Map.entry("mathqa/utils.doc_to_choice", QuestionFunctions::options),
            Map.entry("webqs/utils.doc_to_choice", d -> withoutLonger(list(d, "answers"))),
            Map.entry(
                    "webqs/utils.doc_to_target",
                    d -> numbers(withoutLonger(list(d, "answers")).size())),
            Map.entry("coqa/utils.doc_to_text", CoqaTurns::text),
            Map.entry("coqa/utils.doc_to_target", CoqaTurns::answers),
            Map.entry("leaderboard/math/utils.doc_to_text", QuestionFunctions::problem));

    private QuestionFunctions() {}

    public static String text(Map<String, @Nullable Object> document, String column) {
        if (document.get(column) instanceof String text) {
            return text;
        }
        throw new BadDatasetException(
                "a document has " + document.get(column) + " in its column " + column + ", a text is expected");
    }

    static Object value(Map<String, @Nullable Object> document, String column) {
        Object value = document.get(column);
        if (value == null) {
            throw new BadDatasetException("a document has nothing in its column " + column);
        }
        return value;
    }

    static List<?> list(Map<?, ?> document, String column) {
        if (document.get(column) instanceof List<?> list) {
            return list;
        }
        throw new BadDatasetException(
                "a document has " + document.get(column) + " in its column " + column + ", a list is expected");
    }

    /** What Python's literal in a text stands for, a list. */
    static List<?> literal(String text) {
        try {
            if (PythonLiteral.of(text) instanceof List<?> list) {
                return list;
            }
        } catch (IllegalArgumentException e) {
            throw new BadDatasetException("a document's list: " + e.getMessage(), e);
        }
        throw new BadDatasetException("no list in a document: " + text);
    }

    private static String lettered(List<?> options, int most) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < Math.min(most, options.size()); i++) {
            text.append(LETTERS.get(i)).append(". ").append(options.get(i)).append('\n');
        }
        return text.toString();
    }

    private static int blank(Map<String, @Nullable Object> document) {
        int blank = text(document, "sentence").indexOf('_');
        if (blank < 0) {
            throw new BadDatasetException("no underscore in the sentence: " + document.get("sentence"));
        }
        return blank;
    }

    private static Object option(Map<String, @Nullable Object> document) {
        return text(document, "answer").equals("1") ? 0L : 1L;
    }

    private static Object rest(Map<String, @Nullable Object> document) {
        return PythonText.strip(text(document, "sentence").substring(blank(document) + 1));
    }

    private static List<String> filled(Map<String, @Nullable Object> document) {
        String before = text(document, "sentence").substring(0, blank(document));
        return List.of(before + text(document, "option1"), before + text(document, "option2"));
    }

    private static String mystery(Map<String, @Nullable Object> document) {
        StringBuilder choices = new StringBuilder();
        int number = 1;
        for (Object choice : literal(text(document, "choices"))) {
            choices.append(number++).append(" - ").append(choice).append('\n');
        }
        return text(document, "narrative") + "\n\n" + text(document, "question") + "\n\n" + choices + "\nAnswer:";
    }

    private static String stepByStep(Map<String, @Nullable Object> document, int most) {
        List<String> options = list(document, "options").stream()
                .map(option -> PythonText.strip(String.valueOf(option)))
                .toList();
        return "Question:\n" + text(document, "question") + "\nOptions:\n" + lettered(options, most)
                + "Answer: Let's think step by step.";
    }

    private static Object thought(Map<String, @Nullable Object> document) {
        return text(document, "cot_content").replace("A: Let's think step by step. ", "");
    }

    private static Object entailment(Map<String, @Nullable Object> document) {
        String claim = PythonText.strip(text(document, "hypothesis"));
        return text(document, "premise") + "\nQuestion: " + claim + (claim.endsWith(".") ? "" : ".")
                + " True, False or Neither?\nAnswer:";
    }

    private static double number(Map<String, @Nullable Object> document, String column) {
        if (value(document, column) instanceof Number number) {
            return number.doubleValue();
        }
        throw new BadDatasetException(
                "a document has " + document.get(column) + " in its column " + column + ", a number is expected");
    }

    private static String premise(Map<String, @Nullable Object> document) {
        String premise = PythonText.strip(text(document, "premise"));
        String connector = switch (text(document, "question")) {
            case "cause" -> "because";
            case "effect" -> "therefore";
            default -> throw new BadDatasetException("copa: question is " + document.get("question"));
        };
        int end = premise.offsetByCodePoints(premise.length(), premise.isEmpty() ? 0 : -1);
        return premise.substring(0, end) + " " + connector;
    }

    /** A choice as the rest of a sentence. */
    private static String joined(String choice) {
        int first = Character.charCount(choice.codePointAt(0));
        return " " + choice.substring(0, first).toLowerCase(java.util.Locale.ROOT) + choice.substring(first);
    }

    private static List<String> options(Map<String, @Nullable Object> document) {
        List<String> options = new ArrayList<>();
        Matcher matcher = OPTION.matcher(text(document, "options"));
        while (matcher.find()) {
            String option = matcher.group().substring(4);
            int end = option.length();
            while (end > 0 && " ,".indexOf(option.charAt(end - 1)) >= 0) {
                end--;
            }
            options.add(option.substring(0, end));
        }
        return options;
    }

    /** Texts in order, but for those that begin with the one kept before. */
    private static List<String> withoutLonger(List<?> texts) {
        List<String> kept = new ArrayList<>();
        texts.stream().map(String::valueOf).sorted(PythonStr::compare).forEach(text -> {
            if (kept.isEmpty() || !text.startsWith(kept.getLast())) {
                kept.add(text);
            }
        });
        return kept;
    }

    private static List<Long> numbers(int count) {
        return java.util.stream.LongStream.range(0, count).boxed().toList();
    }

    private static String problem(Map<String, @Nullable Object> document) {
        return "Problem:\n" + text(document, "problem") + "\n\nSolution:";
    }
}
