package nibble.checkpoint.model.layer;

import java.util.List;

/**
 * Describes the rotary position embedding of a model, or of some of its layers.
 *
 * @param theta base of the frequencies: pair i of a head turns by {@code theta^(-2i/width)} radians a position
 * @param scaling how frequencies are changed for long contexts
 * @param share the part of each head that turns, its first values: width is {@code (int) (headDim * share)}
 */
public record Rope(double theta, Scaling scaling, double share) {

    /** Describes rope over whole heads. */
    public Rope(double theta, Scaling scaling) {
        this(theta, scaling, 1);
    }

    /** Returns how many values of a head turn. */
    public int width(int headDim) {
        return (int) (headDim * share);
    }

    /** Lists the ways of long-context scaling that are supported, as {@code transformers} defines them. */
    public sealed interface Scaling {}

    /** Leaves frequencies as they are. */
    public record None() implements Scaling {}

    /** Divides every frequency by {@code factor}. */
    public record Linear(double factor) implements Scaling {}

    /** Lets theta grow with the length at hand beyond the model's own maximum length ("dynamic NTK"). */
    public record DynamicNtk(double factor) implements Scaling {}

    /** Scales as Llama 3.1 does: low frequencies divided by {@code factor}, high ones kept, those between blended. */
    public record Llama3(double factor, double lowFreqFactor, double highFreqFactor, int originalMaxPositions)
            implements Scaling {}

    /**
     * Scales as YaRN does (Peng et al. 2023): pairs that turn less than {@code betaSlow} times over the original
     * length are divided by {@code factor}, those that turn more than {@code betaFast} times kept, those between
     * blended.
     *
     * @param attentionFactor factor of cosines and sines, so of queries and of keys
     * @param truncate whether the bounds between the three are rounded outwards to whole pairs
     */
    public record Yarn(
            double factor,
            double attentionFactor,
            double betaFast,
            double betaSlow,
            int originalMaxPositions,
            boolean truncate)
            implements Scaling {}

    /**
     * Divides each frequency by a number of its own (LongRoPE, Ding et al. 2024): sequences that are longer than the
     * original length by one list, others by another.
     *
     * @param shortFactors width / 2 of them; longFactors likewise
     * @param attentionFactor factor of cosines and sines, so of queries and of keys; of the shorter sequences
     * @param longAttentionFactor the same of the longer ones
     */
    public record LongRope(
            List<Double> shortFactors,
            List<Double> longFactors,
            double attentionFactor,
            double longAttentionFactor,
            int originalMaxPositions)
            implements Scaling {
        public LongRope {
            shortFactors = List.copyOf(shortFactors);
            longFactors = List.copyOf(longFactors);
        }
    }
}
