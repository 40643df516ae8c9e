package nibble.engine.quantize;

/**
 * Holds statistics of an input as numbers that can be written down. {@code C} is symmetric to the last bit, so half of
 * it is enough.
 *
 * @param rows that were added
 * @param absolute {@code Σ |x|} of each feature
 * @param triangle rows of {@code C} from the diagonal on, one after the other
 */
public record SavedMoment(long rows, double[] absolute, float[] triangle) {
    public SavedMoment {
        long columns = absolute.length;
        if (triangle.length != columns * (columns + 1) / 2) {
            throw new IllegalArgumentException(
                    triangle.length + " values for half of a moment of " + columns + " features");
        }
    }

    /** Returns the features of the input. */
    public int columns() {
        return absolute.length;
    }
}
