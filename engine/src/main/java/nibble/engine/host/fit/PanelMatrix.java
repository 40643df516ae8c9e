package nibble.engine.host.fit;

import static nibble.engine.host.vector.PanelKernel.COLUMNS;
import static nibble.engine.host.vector.PanelKernel.DEPTH;

import nibble.engine.backend.Workers;
import nibble.engine.host.vector.PanelKernel;
import nibble.engine.host.vector.PanelKernel.Rows;
import nibble.engine.host.vector.RowSource;

/**
 * Holds a matrix [rows, columns] that many products are taken with, kept as {@link PanelKernel} wants it: panels of 32
 * columns, each row after row. Columns beyond the last are zeros.
 */
final class PanelMatrix {
    private static final PanelKernel KERNEL = PanelKernel.vectors();

    private final float[] values;
    private final int rows;
    private final int columns;

    private PanelMatrix(float[] values, int rows, int columns) {
        this.values = values;
        this.rows = rows;
        this.columns = columns;
    }

    /** Returns one element of a matrix that is being laid out; safe for several threads. */
    @FunctionalInterface
    interface Elements {
        float at(int row, int column);
    }

    /**
     * Lays a matrix out.
     *
     * @throws IllegalArgumentException if it does not fit a Java array
     */
    static PanelMatrix of(Workers workers, int rows, int columns, Elements elements) {
        int panels = (columns + COLUMNS - 1) / COLUMNS;
        long size = (long) panels * COLUMNS * rows;
        if (size > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException("a matrix of " + rows + " x " + columns + " does not fit a Java array");
        }
        float[] values = new float[(int) size];
        workers.forEach(panels, panel -> {
            int first = panel * COLUMNS;
            int end = Math.min(first + COLUMNS, columns);
            for (int row = 0; row < rows; row++) {
                int at = (panel * rows + row) * COLUMNS - first;
                for (int column = first; column < end; column++) {
                    values[at + column] = elements.at(row, column);
                }
            }
        });
        return new PanelMatrix(values, rows, columns);
    }

    /** Returns the stride of a row that {@link #multiply} can write whole: columns rounded up to whole panels. */
    int stride() {
        return (columns + COLUMNS - 1) / COLUMNS * COLUMNS;
    }

    float at(int row, int column) {
        return values[(column / COLUMNS * rows + row) * COLUMNS + column % COLUMNS];
    }

    /** Returns the rows, for a product with the transposed matrix. */
    RowSource rows() {
        return (row, column, count, into, offset) -> {
            for (int i = 0; i < count; i++) {
                into[offset + i] = at(row, column + i);
            }
        };
    }

    /**
     * Computes {@code c[r, j] (+)= Σ_k a[r, k] m[first + k, j]} for k in 0 … count and the columns j of some panels.
     *
     * @param count rows of this matrix that take part
     * @param from the first column, a multiple of 32
     * @param to the end of the columns, a multiple of 32
     * @param c rows of {@code cStride} floats; column j of row r is at {@code r * cStride + j}
     * @param accumulate whether to add to c or to overwrite it
     */
    void multiply(
            int rowCount,
            float[] a,
            int aOffset,
            int aStride,
            int first,
            int count,
            int from,
            int to,
            float[] c,
            int cOffset,
            int cStride,
            boolean accumulate) {
        for (int column = from; column < to; column += COLUMNS) {
            int panel = (column / COLUMNS * rows + first) * COLUMNS;
            for (int k = 0; k < count; k += DEPTH) {
                int depth = Math.min(DEPTH, count - k);
                KERNEL.multiply(
                        rowCount,
                        new Rows(a, aOffset + k, aStride),
                        values,
                        panel + k * COLUMNS,
                        depth,
                        new Rows(c, cOffset + column, cStride),
                        accumulate || k > 0);
            }
        }
    }
}
