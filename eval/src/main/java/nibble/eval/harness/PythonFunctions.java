package nibble.eval.harness;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import nibble.datasets.evaluation.HellaSwagText;
import nibble.datasets.evaluation.WikitextDetokenizer;
import nibble.eval.harness.Aggregation.Pair;
import nibble.eval.tasks.RequestResult;
import nibble.files.digest.Sha256;
import org.jspecify.annotations.Nullable;

/**
 * Holds what some functions of the harness's own tasks do, written again. A file of a task may name them if its Python
 * file is the one of release 0.4.13.
 */
final class PythonFunctions {
    /** Values of a document's figures from the results of its requests. */
    interface OfResults {
        Map<String, Object> apply(Map<String, @Nullable Object> document, List<RequestResult> results);
    }

    /** SHA-256 of the Python files whose functions are known, by folder and module. */
    private static final Map<String, String> FILES = Map.of(
            "hellaswag/utils", "07d23b60b28f2a4f658dcf8440623a63fe6644854ce9b846a114dde980dc1214",
            "truthfulqa/utils", "d3c827d1e2cd442a1e4738b527a18effd48cbb2aed478c12a652311b5ea4dbc8",
            "winogrande/preprocess_winogrande", "e55327629264a98f1d383fda24645b6779afb53fa0bce2150042b9416b1ae006",
            "wikitext/preprocess_wikitext", "a44020374b172159bf5be80a64d2c4194c9d5c77284f696ac666361338c8da7d");

    private static final Map<String, UnaryOperator<Map<String, @Nullable Object>>> OF_ROWS =
            Map.of("hellaswag/utils.process_docs", PythonFunctions::hellaswag);

    private static final Map<String, Function<Map<String, @Nullable Object>, Object>> OF_DOCUMENTS = Map.of(
            "winogrande/preprocess_winogrande.doc_to_text",
                    d -> text(d, "answer").equals("1") ? 0L : 1L,
            "winogrande/preprocess_winogrande.doc_to_target",
                    d -> PythonText.strip(text(d, "sentence").substring(blank(d) + 1)),
            "winogrande/preprocess_winogrande.doc_to_choice", PythonFunctions::filled,
            "wikitext/preprocess_wikitext.wikitext_detokenizer", d -> WikitextDetokenizer.of(text(d, "page")));

    private static final Map<String, OfResults> OF_RESULTS = Map.of(
            "truthfulqa/utils.process_results_mc2",
            PythonFunctions::mc2,
            "wikitext/preprocess_wikitext.process_results",
            (d, results) -> rolled(text(d, "page"), results.getFirst().logLikelihood()));

    private static final Pattern SPACES = Pattern.compile("\\s+", Pattern.UNICODE_CHARACTER_CLASS);

    private PythonFunctions() {}

    static UnaryOperator<Map<String, @Nullable Object>> ofRow(FunctionName function) {
        return known(OF_ROWS, function);
    }

    static Function<Map<String, @Nullable Object>, Object> ofDocument(FunctionName function) {
        return known(OF_DOCUMENTS, function);
    }

    static OfResults ofResults(FunctionName function) {
        return known(OF_RESULTS, function);
    }

    private static <T> T known(Map<String, T> functions, FunctionName function) {
        T found = functions.get(function.family() + "/" + function.name());
        if (found == null) {
            throw function.unknown("which Nibble does not run");
        }
        int dot = function.name().lastIndexOf('.');
        String module = function.name().substring(0, dot);
        if (!function.place().startsWith("bundled:")) {
            Path file = Path.of(function.place()).resolveSibling(module + ".py");
            String expected = FILES.get(function.family() + "/" + module);
            if (!Files.isRegularFile(file) || !sha256(file).equals(expected)) {
                throw function.unknown(
                        "and " + file + " is not the file of lm-eval 0.4.13 whose function Nibble knows");
            }
        }
        return found;
    }

    private static String sha256(Path file) {
        try {
            return Sha256.of(file);
        } catch (java.io.IOException e) {
            throw new BadDatasetException(file + ": cannot be read: " + nibble.files.Reasons.of(e), e);
        }
    }

    private static String text(Map<String, @Nullable Object> document, String column) {
        if (document.get(column) instanceof String text) {
            return text;
        }
        throw new BadDatasetException(
                "a document has " + document.get(column) + " in its column " + column + ", a text is expected");
    }

    private static Map<String, @Nullable Object> hellaswag(Map<String, @Nullable Object> row) {
        if (row.containsKey("query")) {
            return row;
        }
        Map<String, @Nullable Object> made = new LinkedHashMap<>(row);
        made.put("query", HellaSwagText.query(text(row, "activity_label"), text(row, "ctx_a"), text(row, "ctx_b")));
        List<String> choices = new ArrayList<>();
        for (Object ending : row.get("endings") instanceof List<?> list ? list : List.of()) {
            choices.add(HellaSwagText.clean(String.valueOf(ending)));
        }
        made.put("choices", choices);
        made.put("gold", Long.parseLong(String.valueOf(row.get("label")).strip()));
        return made;
    }

    private static int blank(Map<String, @Nullable Object> document) {
        int blank = text(document, "sentence").indexOf('_');
        if (blank < 0) {
            throw new BadDatasetException("no underscore in the sentence: " + document.get("sentence"));
        }
        return blank;
    }

    private static List<String> filled(Map<String, @Nullable Object> document) {
        String before = text(document, "sentence").substring(0, blank(document));
        return List.of(before + text(document, "option1"), before + text(document, "option2"));
    }

    /** The share of the true answers in the probability of all. */
    private static Map<String, Object> mc2(Map<String, @Nullable Object> document, List<RequestResult> results) {
        List<?> labels =
                document.get("mc2_targets") instanceof Map<?, ?> targets && targets.get("labels") instanceof List<?> l
                        ? l
                        : List.of();
        double right = 0;
        double all = 0;
        for (int i = 0; i < results.size(); i++) {
            double probability = Math.exp(results.get(i).logLikelihood());
            all += probability;
            right += i < labels.size() && labels.get(i) instanceof Number label && label.longValue() == 1
                    ? probability
                    : 0;
        }
        return Map.of("acc", right / all);
    }

    /** Figures of a text by its words and bytes, which may be those of another form of it than the model read. */
    static Map<String, Object> rolled(String text, double logLikelihood) {
        Pair byWord = new Pair(logLikelihood, SPACES.split(text, -1).length);
        Pair byByte = new Pair(logLikelihood, text.getBytes(StandardCharsets.UTF_8).length);
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("word_perplexity", byWord);
        values.put("byte_perplexity", byByte);
        values.put("bits_per_byte", byByte);
        return values;
    }
}
