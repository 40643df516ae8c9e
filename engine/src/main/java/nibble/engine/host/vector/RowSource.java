package nibble.engine.host.vector;

/** Reads a matrix of weights in whatever form as floats, a piece of a row at a time; safe for several threads. */
@FunctionalInterface
public interface RowSource {
    /** Reads columns {@code column .. column + count} of {@code row} into {@code into[offset ..]}. */
    void read(int row, int column, int count, float[] into, int offset);

    /**
     * Puts pieces of up to 32 rows side by side, as {@link PanelKernel} takes them; columns of the panel beyond them
     * become 0.
     *
     * @param panel whose element i, j from {@code offset} on is column {@code column + i} of row {@code first + j}
     */
    default void fill(int first, int rows, int column, int depth, float[] panel, int offset) {
        Panel.fill(this, first, rows, column, depth, new float[depth], panel, offset);
    }

    /** Returns the rows of a row-major matrix. */
    static RowSource of(float[] values, int columns) {
        return (row, column, count, into, offset) ->
                System.arraycopy(values, row * columns + column, into, offset, count);
    }
}
