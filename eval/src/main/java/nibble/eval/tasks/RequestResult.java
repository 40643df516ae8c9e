package nibble.eval.tasks;

/**
 * Holds one log-likelihood.
 *
 * @param contextTokens ids given, after truncation
 * @param continuationTokens ids scored
 * @param truncatedTokens ids cut off the beginning of the context because the model's is shorter
 * @param logLikelihood sum of the natural logarithms of the continuation's probabilities
 * @param greedy whether each id of the continuation was the model's likeliest
 */
public record RequestResult(
        int contextTokens, int continuationTokens, int truncatedTokens, double logLikelihood, boolean greedy) {}
