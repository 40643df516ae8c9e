package nibble.engine;

import java.util.List;

/** Offers log-probabilities of the tokens of whole texts. */
public interface ScoringModel {
    /**
     * Computes the log-probability (natural logarithm) of each id after the first, given all ids before it.
     *
     * @param ids at least two ids, at most {@link #contextTokens()}
     * @return {@code ids.length - 1} values; element i is log p(ids[i+1] | ids[0..i])
     */
    float[] logProbabilities(int[] ids);

    /**
     * Computes the {@link #logProbabilities(int[])} of several sequences of one length.
     *
     * @return one array a sequence, in order
     */
    default List<float[]> logProbabilities(List<int[]> sequences) {
        return sequences.stream().map(this::logProbabilities).toList();
    }

    /** Returns how many sequences of this many tokens are best scored in one call. */
    default int sequencesPerBatch(int tokens) {
        return 1;
    }

    /** Returns the longest sequence the model was made for. */
    int contextTokens();

    int vocabularySize();
}
