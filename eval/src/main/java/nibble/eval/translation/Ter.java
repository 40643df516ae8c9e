package nibble.eval.translation;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import nibble.datasets.PythonText;

/** Translation edit rate (Snover et al., 2006) with sacrebleu's defaults: words by spaces, in lower case. */
final class Ter implements CorpusMetric {
    /** Counts edits for the best reference, and the mean length of the references. */
    @Override
    public double[] counts(String text, List<String> references) {
        List<String> words = words(text);
        int best = Integer.MAX_VALUE;
        double length = 0;
        for (String reference : references) {
            List<String> right = words(reference);
            length += right.size();
            best = Math.min(best, right.isEmpty() ? words.size() : edits(words, right));
        }
        return new double[] {best, length / references.size()};
    }

    private static List<String> words(String text) {
        return Words.split(PythonText.stripRight(text).toLowerCase(Locale.ROOT));
    }

    /** Words shifted until no shift helps, then words changed. */
    private static int edits(List<String> words, List<String> right) {
        WordShifts shifts = new WordShifts(right);
        List<String> now = new ArrayList<>(words);
        int shifted = 0;
        while (true) {
            WordShifts.Shift best = shifts.best(now);
            if (best == null || shifts.isExhausted() || best.gain() <= 0) {
                return shifted + EditPath.of(now, right).edits();
            }
            shifted++;
            now = best.words();
        }
    }

    @Override
    public double score(double[] sums) {
        return 100 * (sums[1] > 0 ? sums[0] / sums[1] : sums[0] > 0 ? 1 : 0);
    }
}
