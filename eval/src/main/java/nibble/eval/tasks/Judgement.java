package nibble.eval.tasks;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import nibble.datasets.PythonText;
import nibble.datasets.evaluation.EvaluationDocument;
import nibble.datasets.evaluation.EvaluationDocument.BlankSentence;
import nibble.datasets.evaluation.EvaluationDocument.LastWord;
import nibble.datasets.evaluation.EvaluationDocument.MathProblem;
import nibble.datasets.evaluation.EvaluationDocument.MultipleChoice;
import nibble.datasets.evaluation.EvaluationDocument.Page;
import nibble.datasets.evaluation.EvaluationDocument.TruthfulQuestion;

/** What a model's answers are worth, document by document: the harness's rules. */
final class Judgement {
    private static final String NO_ANSWER = "[invalid]";
    private static final Pattern SPACES = Pattern.compile("\\s+", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern FINAL_NUMBER = Pattern.compile("#### (-?[0-9.,]+)");
    private static final Pattern ANY_NUMBER = Pattern.compile("(-?[$0-9.,]{2,})|(-?[0-9]+)");
    /** What release 0.4 takes out of both answers before it compares them. */
    private static final List<Pattern> IGNORED = List.of(
            Pattern.compile(","),
            Pattern.compile("\\$"),
            Pattern.compile("(?s).*#### "),
            Pattern.compile("\\.$", Pattern.UNIX_LINES));

    private final Task task;
    private final Preset preset;

    Judgement(Task task, Preset preset) {
        this.task = task;
        this.preset = preset;
    }

    /** @param results of the requests of {@link Prompts#ask}, in order; one for a rolled text */
    DocumentResult of(int number, EvaluationDocument document, List<RequestResult> results) {
        double[] sums =
                results.stream().mapToDouble(RequestResult::logLikelihood).toArray();
        return switch (document) {
            case MultipleChoice q -> multipleChoice(number, q, results, sums);
            case BlankSentence s -> {
                int pick = likeliest(sums);
                yield new DocumentResult(number, results, s.gold(), pick, null, Map.of("acc", one(pick == s.gold())));
            }
            case TruthfulQuestion q -> truthful(number, q, results, sums);
            case LastWord _ -> {
                RequestResult only = results.getFirst();
                yield new DocumentResult(
                        number,
                        results,
                        null,
                        null,
                        null,
                        metrics("perplexity", only.logLikelihood(), "acc", one(only.greedy())));
            }
            case Page p ->
                new DocumentResult(
                        number,
                        results,
                        null,
                        null,
                        null,
                        metrics(
                                "words", SPACES.split(p.text(), -1).length,
                                "bytes", p.text().getBytes(java.nio.charset.StandardCharsets.UTF_8).length));
            case MathProblem _ -> throw new IllegalArgumentException("a problem is judged by the text written");
        };
    }

    /** @param text what the model wrote */
    DocumentResult of(int number, MathProblem problem, String text) {
        Map<String, Double> metrics = switch (preset) {
            case LEADERBOARD_V1 -> {
                String found = first(text);
                yield Map.of(
                        "acc",
                        one(!found.equals(NO_ANSWER)
                                && found.replace(",", "")
                                        .equals(first(problem.answer()).replace(",", ""))));
            }
            case LM_EVAL_0_4_9_1, LM_EVAL_0_4_13 ->
                metrics(
                        "exact_match_strict", one(plain(first(text)).equals(plain(problem.answer()))),
                        "exact_match_flexible", one(plain(last(text)).equals(plain(problem.answer()))));
        };
        return new DocumentResult(number, List.of(), null, null, text, metrics);
    }

    private DocumentResult multipleChoice(int number, MultipleChoice q, List<RequestResult> results, double[] sums) {
        int pick = likeliest(sums);
        if (task == Task.MMLU) {
            return new DocumentResult(number, results, q.gold(), pick, null, Map.of("acc", one(pick == q.gold())));
        }
        double[] perCharacter = IntStream.range(0, sums.length)
                .mapToDouble(i -> sums[i] / PythonText.length(q.choices().get(i)))
                .toArray();
        return new DocumentResult(
                number,
                results,
                q.gold(),
                pick,
                null,
                metrics("acc", one(pick == q.gold()), "acc_norm", one(likeliest(perCharacter) == q.gold())));
    }

    private DocumentResult truthful(int number, TruthfulQuestion q, List<RequestResult> results, double[] sums) {
        int single = q.single().size();
        int pick = likeliest(java.util.Arrays.copyOf(sums, single));
        // The leaderboard's version takes all before the first false answer for true, which two documents' labels
        // belie.
        int firstFalse = q.isTrue().indexOf(false);
        double right = 0;
        double all = 0;
        for (int i = 0; i < q.many().size(); i++) {
            double probability = Math.exp(sums[single + i]);
            boolean counts = preset == Preset.LEADERBOARD_V1
                    ? i < firstFalse
                    : q.isTrue().get(i);
            right += counts ? probability : 0;
            all += probability;
        }
        return new DocumentResult(number, results, 0, pick, null, metrics("mc1", one(pick == 0), "mc2", right / all));
    }

    /** The first of the greatest. */
    static int likeliest(double[] values) {
        int best = 0;
        for (int i = 1; i < values.length; i++) {
            if (values[i] > values[best]) {
                best = i;
            }
        }
        return best;
    }

    private static String first(String text) {
        Matcher matcher = FINAL_NUMBER.matcher(text);
        return matcher.find() ? PythonText.strip(matcher.group(1)) : NO_ANSWER;
    }

    private static String last(String text) {
        String found = NO_ANSWER;
        for (Matcher matcher = ANY_NUMBER.matcher(text); matcher.find(); ) {
            found = PythonText.strip(matcher.group());
        }
        return found;
    }

    private static String plain(String answer) {
        String plain = answer;
        for (Pattern pattern : IGNORED) {
            plain = pattern.matcher(plain).replaceAll("");
        }
        return plain.toLowerCase(Locale.ROOT);
    }

    private static double one(boolean yes) {
        return yes ? 1 : 0;
    }

    private static Map<String, Double> metrics(String first, double a, String second, double b) {
        Map<String, Double> metrics = new LinkedHashMap<>();
        metrics.put(first, a);
        metrics.put(second, b);
        return metrics;
    }
}
