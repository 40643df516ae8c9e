package nibble.engine;

import java.util.List;
import java.util.Set;
import java.util.function.IntPredicate;

/** Offers what evaluation needs of a model: log-probabilities of tokens given those before them. */
public interface LanguageModel extends ScoringModel, AutoCloseable {
    /**
     * Scores ends of texts. A beginning that several share goes through the model once; what comes out is as if each
     * text were scored alone, up to the order of sums.
     *
     * @param continuations each at most {@link #contextTokens()} ids long, without its last
     */
    ScoredContinuations score(List<Continuation> continuations);

    /** Returns how many ids are best scored in one call of {@link #score}; more are taken too, if memory allows. */
    default int tokensPerPass() {
        return 2048;
    }

    /**
     * Writes on after {@code prompt}, the likeliest id each time, until a stop id, {@code maxNewTokens}, or the end of
     * the context.
     *
     * @param goesOn sees each new id, and says whether another shall follow
     * @return the new ids, without the stop id
     */
    int[] write(int[] prompt, int maxNewTokens, Set<Integer> stopIds, IntPredicate goesOn);

    @Override
    void close();
}
