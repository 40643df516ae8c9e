package nibble.checkpoint.model.layer;

/**
 * Holds the numbers that some models multiply by, or cap with, where Llama has 1 and none.
 *
 * @param embedding factor of embeddings on their way into the first layer
 * @param residual factor of what attention and MLP add to the residual stream
 * @param score factor of a query's product with a key, in front of softmax
 * @param logits factor of logits
 * @param scoreCap c of {@code c tanh(score / c)}, in front of softmax; 0 for none
 * @param logitCap the same for logits
 */
public record Multipliers(
        double embedding, double residual, double score, double logits, double scoreCap, double logitCap) {

    /** Returns Llama's for heads of this width. */
    public static Multipliers of(int headDim) {
        return new Multipliers(1, 1, 1 / Math.sqrt(headDim), 1, 0, 0);
    }

    /** Returns these with another factor of embeddings. */
    public Multipliers withEmbedding(double factor) {
        return new Multipliers(factor, residual, score, logits, scoreCap, logitCap);
    }

    /** Returns these with another factor of what the residual stream gets. */
    public Multipliers withResidual(double factor) {
        return new Multipliers(embedding, factor, score, logits, scoreCap, logitCap);
    }

    /** Returns these with another factor of scores. */
    public Multipliers withScore(double factor) {
        return new Multipliers(embedding, residual, factor, logits, scoreCap, logitCap);
    }

    /** Returns these with another factor of logits. */
    public Multipliers withLogits(double factor) {
        return new Multipliers(embedding, residual, score, factor, scoreCap, logitCap);
    }

    /** Returns these with caps of scores and of logits, 0 for none. */
    public Multipliers withCaps(double ofScores, double ofLogits) {
        return new Multipliers(embedding, residual, score, logits, ofScores, ofLogits);
    }
}
