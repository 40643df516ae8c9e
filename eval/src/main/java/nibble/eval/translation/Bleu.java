package nibble.eval.translation;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * BLEU (Papineni et al., 2002) with sacrebleu's defaults: tokenizer 13a, sequences of up to four words, smoothing
 * {@code exp}.
 */
final class Bleu implements CorpusMetric {
    private static final int LONGEST = 4;

    /** Words, words of the nearest reference, then matches and sequences of each length. */
    @Override
    public double[] counts(String text, List<String> references) {
        List<String> words = Words.of13a(text);
        double[] counts = new double[2 + 2 * LONGEST];
        counts[0] = words.size();
        List<List<String>> right = references.stream().map(Words::of13a).toList();
        int nearest = -1;
        for (List<String> one : right) {
            int distance = Math.abs(one.size() - words.size());
            int best = Math.abs(nearest - words.size());
            if (nearest < 0 || distance < best || distance == best && one.size() < nearest) {
                nearest = one.size();
            }
        }
        counts[1] = nearest;
        for (int n = 1; n <= LONGEST; n++) {
            Map<List<String>, Integer> known = new HashMap<>();
            for (List<String> one : right) {
                Words.sequences(one, n).forEach((sequence, count) -> known.merge(sequence, count, Math::max));
            }
            int at = 1 + n;
            Words.sequences(words, n).forEach((sequence, count) -> {
                counts[at] += Math.min(count, known.getOrDefault(sequence, 0));
                counts[at + LONGEST] += count;
            });
        }
        return counts;
    }

    @Override
    public double score(double[] sums) {
        double written = sums[0];
        double expected = sums[1];
        double penalty = written < expected ? written > 0 ? Math.exp(1 - expected / written) : 0 : 1;
        double matches = 0;
        for (int n = 0; n < LONGEST; n++) {
            matches += sums[2 + n];
        }
        if (matches == 0) {
            return 0;
        }
        double smoothing = 1;
        double[] precisions = new double[LONGEST];
        for (int n = 0; n < LONGEST && sums[2 + LONGEST + n] > 0; n++) {
            double all = sums[2 + LONGEST + n];
            if (sums[2 + n] == 0) {
                smoothing *= 2;
                precisions[n] = 100 / (smoothing * all);
            } else {
                precisions[n] = 100 * sums[2 + n] / all;
            }
        }
        double logarithms = 0;
        for (double precision : precisions) {
            // Where there are no sequences so long, sacrebleu takes this for the logarithm of 0.
            logarithms += precision == 0 ? -9_999_999_999.0 : Math.log(precision);
        }
        return penalty * Math.exp(logarithms / LONGEST);
    }
}
