package nibble.engine;

import java.io.Serializable;
import java.util.List;

/**
 * Holds what a model says of {@linkplain Continuation continuations}.
 *
 * @param scores one each, in order
 * @param tokens ids that went through the model
 * @param flops of that: two a multiply-add, of linears, attention and head
 */
public record ScoredContinuations(List<Score> scores, long tokens, double flops) implements Serializable {

    /**
     * Holds one continuation's score.
     *
     * @param logProbabilities natural logarithm of the probability of each id of the continuation, given all before it
     * @param greedy whether each was the likeliest id; of equally likely ids the smallest is
     */
    public record Score(float[] logProbabilities, boolean greedy) implements Serializable {
        /** Returns the logarithm of the continuation's probability. */
        public double logLikelihood() {
            double sum = 0;
            for (float value : logProbabilities) {
                sum += value;
            }
            return sum;
        }
    }
}
