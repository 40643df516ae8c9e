package nibble.engine.quantize;

import org.jspecify.annotations.Nullable;

/**
 * Describes the basis a linear is rounded in: {@code W' = diag(1/rows) W diag(columns)}. Its input is then divided by
 * {@code columns} and its output multiplied by {@code rows}, both by whatever stands before and behind it.
 *
 * @param rows divisor of each output row, or null for ones
 * @param columns factor of each input column, or null for ones
 */
public record Basis(float @Nullable [] rows, float @Nullable [] columns) {
    /** The weights as they are. */
    public static final Basis ORIGINAL = new Basis(null, null);

    public static Basis ofColumns(float @Nullable [] columns) {
        return new Basis(null, columns);
    }
}
