package nibble.eval.comparison;

import org.jspecify.annotations.Nullable;

/**
 * Says how far a model's next-token distributions lie from a baseline's, on a text both are given.
 *
 * @param dataset name of the text
 * @param datasetSha256 of its source
 * @param contextTokens ids of a window; windows do not overlap, and every id but a window's first is predicted
 * @param windows the text's first ones
 * @param predictions {@code windows * (contextTokens - 1)}
 * @param meanKl mean of {@code KL(baseline || model)} over the predictions, in nats
 * @param meanKlStderr its standard error, from the windows' means; null for one window
 * @param kl99thPercentile which 99 of 100 predictions do not exceed
 * @param sameLikeliest share of predictions whose likeliest token is the same
 * @param baselinePerplexity of the baseline on these windows, by the gptq recipe
 * @param perplexity of the model
 */
public record Divergence(
        String dataset,
        String datasetSha256,
        int contextTokens,
        int windows,
        long predictions,
        double meanKl,
        @Nullable Double meanKlStderr,
        double kl99thPercentile,
        double sameLikeliest,
        double baselinePerplexity,
        double perplexity) {}
