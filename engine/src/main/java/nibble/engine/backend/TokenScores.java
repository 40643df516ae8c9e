package nibble.engine.backend;

/**
 * Holds what a model says of the next id, a row each.
 *
 * @param logProbabilities of the id asked for, natural logarithm
 * @param likeliest the id with the greatest logit, the smallest of several
 */
public record TokenScores(float[] logProbabilities, int[] likeliest) {}
