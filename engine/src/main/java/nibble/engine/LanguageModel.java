package nibble.engine;

import java.util.List;

/** What evaluation needs of a model: log-probabilities of tokens given those before them. */
public interface LanguageModel extends AutoCloseable {
    /**
     * Log-probability (natural logarithm) of each id after the first, given all ids before it.
     *
     * @param ids at least two ids, at most {@link #contextTokens()}
     * @return {@code ids.length - 1} values; element i is log p(ids[i+1] | ids[0..i])
     */
    float[] logProbabilities(int[] ids);

    /**
     * {@link #logProbabilities(int[])} of several sequences of one length.
     *
     * @return one array a sequence, in order
     */
    default List<float[]> logProbabilities(List<int[]> sequences) {
        return sequences.stream().map(this::logProbabilities).toList();
    }

    /** Sequences of this many tokens that are best scored in one call. */
    default int sequencesPerBatch(int tokens) {
        return 1;
    }

    /** The longest sequence the model was made for. */
    int contextTokens();

    int vocabularySize();

    @Override
    void close();
}
