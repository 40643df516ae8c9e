package nibble.eval.mtbench;

/**
 * Says how answers were made; kept with each answer, so that a resumed run cannot mix two ways.
 *
 * @param template the prompt format's name
 * @param system what the model is told before each question; empty for nothing
 * @param maxNewTokens tokens of one turn at most; FastChat's default is 1024
 * @param topP of {@link nibble.engine.SamplingOptions}
 * @param topK of {@link nibble.engine.SamplingOptions}; FastChat leaves it to transformers, whose default is 50
 * @param seed same seed, same answers
 * @param choices answers to each question
 */
public record MtBenchSettings(
        String template, String system, int maxNewTokens, double topP, int topK, long seed, int choices) {}
