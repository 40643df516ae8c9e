package nibble.checkpoint.model.layer;

/**
 * Describes how queries grow with their position, in layers without rope of models for long contexts.
 *
 * @param floor positions after which the factor grows a step
 * @param scale of the logarithm of the number of steps
 */
public record AttentionTemperature(int floor, double scale) {
    /** Returns the factor of a query at a position: {@code 1 + scale log(1 + floor((position + 1) / floor))}. */
    public double at(int position) {
        return 1 + scale * Math.log1p((position + 1L) / floor);
    }

    /** Returns whether all of the first so many positions have the factor 1. */
    public boolean isNeutral(int positions) {
        return positions < floor;
    }
}
