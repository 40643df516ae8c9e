package nibble.engine.host.vector;

/** Reads a matrix of weights in whatever form as floats, a piece of a row at a time; safe for several threads. */
@FunctionalInterface
public interface RowSource {
    /** Reads columns {@code column .. column + count} of {@code row} into {@code into[offset ..]}. */
    void read(int row, int column, int count, float[] into, int offset);

    /** Returns the rows of a row-major matrix. */
    static RowSource of(float[] values, int columns) {
        return (row, column, count, into, offset) ->
                System.arraycopy(values, row * columns + column, into, offset, count);
    }
}
