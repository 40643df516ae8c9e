package nibble.checkpoint.model;

/**
 * Describes the rotary position embedding of a model.
 *
 * @param theta base of the frequencies: pair i of a head turns by {@code theta^(-2i/headDim)} radians a position
 * @param scaling how frequencies are changed for long contexts
 */
public record Rope(double theta, Scaling scaling) {

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
}
