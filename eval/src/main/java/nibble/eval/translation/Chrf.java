package nibble.eval.translation;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * chrF (Popović, 2015) with sacrebleu's defaults: sequences of up to six characters, spaces left out, recall counted
 * twice.
 *
 * @param words the longest sequence of words; 2 for chrF++
 */
record Chrf(int words) implements CorpusMetric {
    private static final int CHARACTERS = 6;
    private static final String PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

    /** Counts sequences of the text, of the reference and of both, for each length; of the best reference. */
    @Override
    public double[] counts(String text, List<String> references) {
        List<Map<?, Integer>> own = sequences(text);
        double[] best = {};
        double bestScore = -1;
        for (String reference : references) {
            List<Map<?, Integer>> right = sequences(reference);
            double[] counts = new double[3 * own.size()];
            for (int i = 0; i < own.size(); i++) {
                Map<?, Integer> known = right.get(i);
                for (Map.Entry<?, Integer> entry : own.get(i).entrySet()) {
                    counts[3 * i] += known.isEmpty() ? 0 : entry.getValue();
                    Integer there = known.get(entry.getKey());
                    counts[3 * i + 2] += there == null ? 0 : Math.min(there, entry.getValue());
                }
                counts[3 * i + 1] =
                        known.values().stream().mapToInt(Integer::intValue).sum();
            }
            double score = score(counts);
            if (score > bestScore) {
                bestScore = score;
                best = counts;
            }
        }
        return best;
    }

    private List<Map<?, Integer>> sequences(String text) {
        List<Map<?, Integer>> all = new ArrayList<>();
        List<Integer> characters =
                String.join("", Words.split(text)).codePoints().boxed().toList();
        IntStream.rangeClosed(1, CHARACTERS).forEach(n -> all.add(Words.sequences(characters, n)));
        if (words > 0) {
            List<String> apart = apart(text);
            IntStream.rangeClosed(1, words).forEach(n -> all.add(Words.sequences(apart, n)));
        }
        return all;
    }

    /** Words, a sign of punctuation at the end or else at the beginning split off. */
    private static List<String> apart(String text) {
        List<String> words = new ArrayList<>();
        for (String word : Words.split(text)) {
            int last = word.length() - 1;
            if (word.codePointCount(0, word.length()) == 1) {
                words.add(word);
            } else if (PUNCTUATION.indexOf(word.charAt(last)) >= 0) {
                words.add(word.substring(0, last));
                words.add(word.substring(last));
            } else if (PUNCTUATION.indexOf(word.charAt(0)) >= 0) {
                words.add(word.substring(0, 1));
                words.add(word.substring(1));
            } else {
                words.add(word);
            }
        }
        return words;
    }

    @Override
    public double score(double[] sums) {
        int lengths = 0;
        double precision = 0;
        double recall = 0;
        for (int i = 0; i < sums.length; i += 3) {
            if (sums[i] > 0 && sums[i + 1] > 0) {
                precision += sums[i + 2] / sums[i];
                recall += sums[i + 2] / sums[i + 1];
                lengths++;
            }
        }
        if (lengths == 0 || precision + recall == 0) {
            return 0;
        }
        precision /= lengths;
        recall /= lengths;
        return 100 * (5 * precision * recall / (4 * precision + recall));
    }
}
