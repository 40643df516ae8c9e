package nibble.engine;

/**
 * Says how the next token is chosen.
 *
 * @param temperature 0 takes the likeliest token; otherwise logits are divided by it
 * @param topP only the likeliest tokens whose probabilities reach this sum, in (0, 1]; 1 keeps all
 * @param topK only this many of the likeliest tokens; 0 keeps all
 * @param minP only tokens at least this share as likely as the likeliest, in [0, 1]; 0 keeps all
 * @param repetitionPenalty logits of tokens already there are divided by it (multiplied, if negative); 1 leaves them
 * @param frequencyPenalty is subtracted from a logit for each time its token was generated; 0 leaves it
 * @param presencePenalty is subtracted from the logit of each token that was generated; 0 leaves it
 * @param seed same seed, same text
 */
public record SamplingOptions(
        double temperature,
        double topP,
        int topK,
        double minP,
        double repetitionPenalty,
        double frequencyPenalty,
        double presencePenalty,
        long seed) {
    public static final SamplingOptions GREEDY = new SamplingOptions(0, 1, 0, 1, 0);

    /** Leaves out min-p and the penalties that count. */
    public SamplingOptions(double temperature, double topP, int topK, double repetitionPenalty, long seed) {
        this(temperature, topP, topK, 0, repetitionPenalty, 0, 0, seed);
    }

    public SamplingOptions {
        if (!(temperature >= 0 && temperature < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("temperature " + temperature + " found, 0 or more expected");
        }
        if (!(topP > 0 && topP <= 1)) {
            throw new IllegalArgumentException("top-p " + topP + " found, above 0 and at most 1 expected");
        }
        if (topK < 0) {
            throw new IllegalArgumentException("top-k " + topK + " found, 0 (all) or more expected");
        }
        if (!(minP >= 0 && minP <= 1)) {
            throw new IllegalArgumentException("min-p " + minP + " found, 0 to 1 expected");
        }
        if (!(Math.abs(frequencyPenalty) < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("frequency penalty " + frequencyPenalty + " found, a number expected");
        }
        if (!(Math.abs(presencePenalty) < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("presence penalty " + presencePenalty + " found, a number expected");
        }
        if (!(repetitionPenalty > 0 && repetitionPenalty < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("repetition penalty " + repetitionPenalty + " found, above 0 expected");
        }
    }
}
