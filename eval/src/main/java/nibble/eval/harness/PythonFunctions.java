package nibble.eval.harness;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.eval.harness.Aggregation.Pair;
import nibble.eval.harness.functions.CoqaTurns;
import nibble.eval.harness.functions.DropAnswers;
import nibble.eval.harness.functions.ExamChoices;
import nibble.eval.harness.functions.FinalAnswers;
import nibble.eval.harness.functions.InstructionChecks;
import nibble.eval.harness.functions.MathAnswers;
import nibble.eval.harness.functions.PythonSource;
import nibble.eval.harness.functions.QuestionFunctions;
import nibble.eval.harness.functions.ReferenceRows;
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
            Map.entry("ecc017c5c3c0a03757d94072fb74feac74406b63d2f6efa6ec68f73f8db8a9fd", "bbh/zeroshot/utils"),
            Map.entry("d54929f3cfcae8ee7f1f0171414cb81ec19b4243ea6474d8155956beb18327d3", "agieval/utils"),
            Map.entry("e6b10f05b1990d3e82a4414bbf8c04a9f6b7e029c00dfe336a040ecf78acdab0", "minerva_math/utils"),
            Map.entry("2c295d37e8d75f58a5ce948839d20cb9971d1c0d7627878291bebd4584c63507", "wsc273/utils"),
            Map.entry("55c93da7005300ce496a18bce8251febab8acd36b8c4d8875679ff432c2031f9", "arithmetic/utils"),
            Map.entry("0ad23be566a13d9bce46421a77fb2b146499e9b5271a565fffab181e400ff743", "logiqa2/utils_logiqa2"),
            Map.entry("b9cbe33d51b95624b9317cab8ffb917b32c178aaa100fd9ce4aac0a9c467479b", "medmcqa/utils_medmcqa"),
            Map.entry("db3099bba72b47a29018221bbca9a9d44f043b5bf4fbc9df93b8081687ba895e", "glue/mnli/utils"),
            Map.entry("ec32f0bfecb45d80220279522ac046ef2ac3f7890444798b56ac29348b27355d", "xwinograd/utils"),
            Map.entry(
                    "928f11eec23acc717775f156d8a308cc26dd623f54e91eb6bda3da09ca9e3281", "okapi/arc_multilingual/utils"),
            Map.entry("ee3555e7e5100a18c63a3b194003af6e2685f87949b98576ba746f6ee3f16e00", "toxigen/utils"),
            Map.entry("1a65ad044b6b663a7293c84a70a1d1deb1762897272b4de3328f4b9ad57d847a", "super_glue/cb/aggregate"),
            Map.entry("274e6430411e2d0376ec516ac191a44b81ecacf89151ba4df5f4107e894e2dfc", "super_glue/record/util"),
            Map.entry(
                    "af369d50024ef69d607630f79c70669b15d0501f3800be9ee46c98bb605d43fa",
                    "super_glue/wsc/preprocess_wsc"),
            Map.entry("7c755f2c3f8f4ac20de96fb68941c43424d2ded0552d5ab81e672e15c410655c", "gpqa/zeroshot/utils"),
            Map.entry("b603828710f1fb3e1b8fe42726b188544ef8dbd12d25f4ca676e42ca4d1a251b", "gpqa/generative/utils"),
            Map.entry("b9879cbee0966b35896f4d7f0d374d0c4f720d12d6dc79881496d3a0d68669e3", "mmlu-pro-plus/utils"),
            Map.entry("1ab8f14808c826f93f2364883487ed63cf4267980bf4761fda8053899c013632", "ifeval/utils"));

    private static final Map<String, OfResults> OF_RESULTS = Map.ofEntries(
            Map.entry("truthfulqa/utils.process_results_mc2", (d, results, _) -> mc2(d, results)),
            Map.entry(
                    "wikitext/preprocess_wikitext.process_results",
                    (d, results, _) -> rolled(
                            QuestionFunctions.text(d, "page"),
                            results.getFirst().logLikelihood())),
            written("drop/utils.process_results", DropAnswers::scores),
            written("coqa/utils.process_results", CoqaTurns::scores),
            written("leaderboard/math/utils.process_results", FinalAnswers::scores),
            written("minerva_math/utils.process_results", FinalAnswers::scoresOfMinerva),
            written("ifeval/utils.process_results", InstructionChecks::scores),
            written("agieval/utils.process_results", MathAnswers::scoresOfExams),
            Map.entry(
                    "agieval/utils.process_results_mcqa",
                    (d, results, _) -> ExamChoices.scores(d, likelihoods(results))),
            Map.entry(
                    "super_glue/record/util.process_results",
                    (d, results, _) -> ReferenceRows.scores(d, ExamChoices.greatest(likelihoods(results)))),
            written("hendrycks_math/utils.process_results", MathAnswers::scores));

    private static final Map<String, Aggregation> AGGREGATIONS = Map.of(
            "ifeval/utils.agg_inst_level_acc",
            Aggregation.MEAN_OF_ALL,
            "super_glue/cb/aggregate.cb_multi_fi",
            Aggregation.F1_OF_THREE);

    private static final Map<String, Boolean> SAMPLES = Map.of(
            "leaderboard/math/utils.list_fewshot_samples", true, "minerva_math/utils.list_fewshot_samples", true);

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

    private static Map.Entry<String, OfResults> written(
            String name, BiFunction<Map<String, @Nullable Object>, @Nullable Object, Map<String, Object>> rule) {
        return Map.entry(name, (document, _, response) -> rule.apply(document, response));
    }

    private static double[] likelihoods(List<RequestResult> results) {
        return results.stream().mapToDouble(RequestResult::logLikelihood).toArray();
    }

    static Function<Map<String, @Nullable Object>, ResponseFilter.Step> ofFilter(FunctionName function) {
        return known(BigBenchFilters.KNOWN, function);
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
