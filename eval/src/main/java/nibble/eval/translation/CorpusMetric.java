package nibble.eval.translation;

import java.util.List;

/** Measures all sentences: numbers of each, added up, make a score from 0 to 100 (TER: above too). */
public interface CorpusMetric {
    /**
     * Counts what a sentence adds.
     *
     * @param text a translation
     * @param references right translations, at least one
     */
    double[] counts(String text, List<String> references);

    /** Computes the score of counts that were added up. */
    double score(double[] sums);

    /** Returns sacrebleu's {@code corpus_bleu}. */
    static CorpusMetric bleu() {
        return new Bleu();
    }

    /**
     * Returns sacrebleu's {@code corpus_chrf}.
     *
     * @param words the longest sequence of words; 2 for chrF++, else 0
     */
    static CorpusMetric chrf(int words) {
        return new Chrf(words);
    }

    /** Returns sacrebleu's {@code corpus_ter}. */
    static CorpusMetric ter() {
        return new Ter();
    }

    /** Adds counts of sentences up. */
    static double[] sum(List<double[]> counts) {
        double[] sums = new double[counts.getFirst().length];
        for (double[] one : counts) {
            for (int i = 0; i < sums.length; i++) {
                sums[i] += one[i];
            }
        }
        return sums;
    }
}
