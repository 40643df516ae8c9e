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

    /**
     * Scores ends of texts. Beginnings that neighbours share go through the model once; what comes out is as if each text
     * were scored alone, up to the order of sums.
     *
     * @param continuations each at most {@link #contextTokens()} ids long, without its last
     */
    ScoredContinuations score(List<Continuation> continuations);

    /** Ids that are best scored in one call of {@link #score}; more are taken too, if memory allows. */
    default int tokensPerPass() {
        return 2048;
    }

    /** The longest sequence the model was made for. */
    int contextTokens();

    int vocabularySize();

    @Override
    void close();
}
