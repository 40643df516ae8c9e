package nibble.engine;

/**
 * Says how the next token is chosen.
 *
 * @param temperature 0 takes the likeliest token; otherwise logits are divided by it
 * @param topP only the likeliest tokens whose probabilities reach this sum, in (0, 1]; 1 keeps all
 * @param topK only this many of the likeliest tokens; 0 keeps all
 * @param repetitionPenalty logits of tokens already there are divided by it (multiplied, if negative); 1 leaves them
 * @param seed same seed, same text
 */
public record SamplingOptions(double temperature, double topP, int topK, double repetitionPenalty, long seed) {
    public static final SamplingOptions GREEDY = new SamplingOptions(0, 1, 0, 1, 0);

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
        if (!(repetitionPenalty > 0 && repetitionPenalty < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("repetition penalty " + repetitionPenalty + " found, above 0 expected");
        }
    }
}
