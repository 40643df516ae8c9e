package nibble.eval.harness;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.eval.harness.Aggregation.Pair;
import nibble.eval.harness.functions.CoqaTurns;
import nibble.eval.harness.functions.DropAnswers;
import nibble.eval.harness.functions.FinalAnswers;
import nibble.eval.harness.functions.InstructionChecks;
import nibble.eval.harness.functions.MathAnswers;
import nibble.eval.harness.functions.PythonSource;
import nibble.eval.harness.functions.QuestionFunctions;
import nibble.eval.harness.functions.RowFunctions;
import nibble.eval.tasks.RequestResult;
import nibble.files.Reasons;
import nibble.files.digest.Sha256;
import org.jspecify.annotations.Nullable;

/**
 * Finds what some functions of the harness's own tasks do, written again. A file of a task may name them if its Python
 * file is the one of release 0.4.13.
 */
final class PythonFunctions {
    /** Values of a document's figures from the results of its requests. */
    interface OfResults {
        /**
         * Returns the figures.
         *
         * @param response what filters left of a written text; null where none was written
         */
        Map<String, Object> apply(
                Map<String, @Nullable Object> document, List<RequestResult> results, @Nullable Object response);
    }

    /** SHA-256 of the Python files whose functions are known, and their names. */
    private static final Map<String, String> FILES = Map.ofEntries(
            Map.entry("07d23b60b28f2a4f658dcf8440623a63fe6644854ce9b846a114dde980dc1214", "hellaswag/utils"),
            Map.entry("d3c827d1e2cd442a1e4738b527a18effd48cbb2aed478c12a652311b5ea4dbc8", "truthfulqa/utils"),
            Map.entry(
                    "e55327629264a98f1d383fda24645b6779afb53fa0bce2150042b9416b1ae006",
                    "winogrande/preprocess_winogrande"),
            Map.entry(
                    "a44020374b172159bf5be80a64d2c4194c9d5c77284f696ac666361338c8da7d", "wikitext/preprocess_wikitext"),
            Map.entry("9da42ec170310d8eaac3964994eb02d150e52e0f4514553e395c2a3174c25dd4", "leaderboard/musr/utils"),
            Map.entry("21901ae19d06c75c1490026f98be390e8b522b1d0d7cdce4f77740b344072883", "leaderboard/gpqa/utils"),
            Map.entry("49a014c4dc39902071760182858e6b4d42aaaa917a440e71a165bdff75085487", "leaderboard/mmlu_pro/utils"),
            Map.entry("d47eae06ecf1e9535b033394de62185327a1dca977cb29049003699adeb92801", "mmlu_pro/utils"),
            Map.entry("15778ab69ca3b96c3d82618500ad59702ff7ea9dbf09e90e4505abc16ac53ad0", "race/preprocess_race"),
            Map.entry("46399f40065469d234c0c9e1ef3de9b67e50d5fe1c2c4130607eda2dda268260", "logiqa/utils_logiqa"),
            Map.entry("0be98a907db647a518c42c916a61385b64f394cf9d0171b5cb86b7a036282de7", "super_glue/copa/utils"),
            Map.entry(
                    "43528eee61666d94ae9ac3d58bcd3a0c38182a8898f996f536be9de1d3655740", "pubmedqa/preprocess_pubmedqa"),
            Map.entry("06adc6ef5bda3259fe547355e6b064ca57c674b502fac749d0a0ccc8fee91787", "medqa/preprocess_medqa"),
            Map.entry("345aa27870efd145f970456632622efc617b299a4d00abc9459242d2c696d342", "mathqa/utils"),
            Map.entry("b34d53926d40410fc18c9b5455acb0d5f27906cc5a1a3b424eb9099c5fdfcbf8", "webqs/utils"),
            Map.entry("a5782ee7d2e537968a5b83976195ae2b9b6e2a565a0bfb5c24d221b4d61a04f5", "drop/utils"),
            Map.entry("62ac82e8027162d134709355a00526ff5497deb5987beebb18b439b320e860ca", "coqa/utils"),
            Map.entry("8332e42f23c62043b23d74ee6d3934f997b209cd60a1ad45b7882d6b00929d5c", "hendrycks_math/utils"),
            Map.entry("07950dcc102f8d3892c6acea62f5b3499a579aee4c5f8e9af6b94c84c43d16b9", "leaderboard/math/utils"),
            Map.entry("1ab8f14808c826f93f2364883487ed63cf4267980bf4761fda8053899c013632", "ifeval/utils"));

    private static final Map<String, OfResults> OF_RESULTS = Map.of(
            "truthfulqa/utils.process_results_mc2",
            (d, results, _) -> mc2(d, results),
            "wikitext/preprocess_wikitext.process_results",
            (d, results, _) ->
                    rolled(QuestionFunctions.text(d, "page"), results.getFirst().logLikelihood()),
            "drop/utils.process_results",
            (d, _, response) -> DropAnswers.scores(d, response),
            "coqa/utils.process_results",
            (d, _, response) -> CoqaTurns.scores(d, response),
            "leaderboard/math/utils.process_results",
            (d, _, response) -> FinalAnswers.scores(d, response),
            "ifeval/utils.process_results",
            (d, _, response) -> InstructionChecks.scores(d, response),
            "hendrycks_math/utils.process_results",
            (d, _, response) -> MathAnswers.scores(d, response));

    private static final Map<String, Aggregation> AGGREGATIONS =
            Map.of("ifeval/utils.agg_inst_level_acc", Aggregation.MEAN_OF_ALL);

    private static final Map<String, Boolean> SAMPLES = Map.of("leaderboard/math/utils.list_fewshot_samples", true);

    private static final Pattern SPACES = Pattern.compile("\\s+", Pattern.UNICODE_CHARACTER_CLASS);

    private PythonFunctions() {}

    static RowFunctions.OfRows ofRows(FunctionName function) {
        return known(RowFunctions.KNOWN, function);
    }

    static Function<Map<String, @Nullable Object>, Object> ofDocument(FunctionName function) {
        return known(QuestionFunctions.KNOWN, function);
    }

    /** Examples that a function returns, read from its file. */
    static List<Map<String, @Nullable Object>> samples(FunctionName function) {
        if (!function.place().startsWith("bundled:") && known(SAMPLES, function)) {
            int dot = function.name().lastIndexOf('.');
            Path python =
                    Path.of(function.place()).resolveSibling(function.name().substring(0, dot) + ".py");
            return PythonSource.list(python, function.name().substring(dot + 1));
        }
        throw function.unknown("as the source of examples");
    }

    static Aggregation ofAggregation(FunctionName function) {
        return known(AGGREGATIONS, function);
    }

    static OfResults ofResults(FunctionName function) {
        return known(OF_RESULTS, function);
    }

    private static <T> T known(Map<String, T> functions, FunctionName function) {
        int dot = function.name().lastIndexOf('.');
        String module = function.name().substring(0, dot);
        String file = function.family() + "/" + module;
        if (!function.place().startsWith("bundled:")) {
            Path python = Path.of(function.place()).resolveSibling(module.replace('.', '/') + ".py");
            String found = Files.isRegularFile(python) ? FILES.get(sha256(python)) : null;
            if (found == null && FILES.containsValue(file)) {
                throw function.unknown(
                        "and " + python + " is not the file of lm-eval 0.4.13 whose function Nibble knows");
            }
            file = found == null ? file : found;
        }
        T found = functions.get(file + function.name().substring(dot));
        if (found == null) {
            throw function.unknown("which Nibble does not run");
        }
        return found;
    }

    private static String sha256(Path file) {
        try {
            return Sha256.of(file);
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read: " + Reasons.of(e), e);
        }
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
