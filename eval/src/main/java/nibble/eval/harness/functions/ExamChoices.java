package nibble.eval.harness.functions;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import nibble.datasets.PythonText;
import org.jspecify.annotations.Nullable;

/** Judges the choices of AGIEval's questions, of which several may be right. */
public final class ExamChoices {
    private ExamChoices() {}

    /**
     * Judges a document.
     *
     * @param sums log-likelihoods of the choices
     */
    public static Map<String, Object> scores(Map<String, @Nullable Object> document, double[] sums) {
        List<?> golds = QuestionFunctions.list(document, "gold");
        List<?> choices = QuestionFunctions.list(document, "choices");
        double[] byLength = IntStream.range(0, sums.length)
                .mapToDouble(i -> sums[i] / PythonText.length(String.valueOf(choices.get(i))))
                .toArray();
        Map<String, Object> scores = new LinkedHashMap<>();
        scores.put("acc", golds.contains((long) greatest(sums)) ? 1.0 : 0.0);
        scores.put("acc_norm", golds.contains((long) greatest(byLength)) ? 1.0 : 0.0);
        return scores;
    }

    /** Returns the first of the greatest. */
    public static int greatest(double[] values) {
        int best = 0;
        for (int i = 1; i < values.length; i++) {
            best = values[i] > values[best] ? i : best;
        }
        return best;
    }
}
