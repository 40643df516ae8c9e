package nibble.checkpoint.model;

/**
 * Rotary position embedding of a model.
 *
 * @param theta base of the frequencies: pair i of a head turns by {@code theta^(-2i/headDim)} radians a position
 * @param scaling how frequencies are changed for long contexts
 */
public record Rope(double theta, Scaling scaling) {

    /** The ways of long-context scaling that are supported, as {@code transformers} defines them. */
    public sealed interface Scaling {}

    /** Frequencies as they are. */
    public record None() implements Scaling {}

    /** Every frequency divided by {@code factor}. */
    public record Linear(double factor) implements Scaling {}

    /** Beyond the model's own maximum length, theta grows with the length at hand ("dynamic NTK"). */
    public record DynamicNtk(double factor) implements Scaling {}

    /** Llama 3.1: low frequencies divided by {@code factor}, high ones kept, those between blended. */
    public record Llama3(double factor, double lowFreqFactor, double highFreqFactor, int originalMaxPositions)
            implements Scaling {}
}
