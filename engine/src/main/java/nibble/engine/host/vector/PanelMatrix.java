package nibble.engine.host.vector;

import static nibble.engine.host.vector.MicroKernel.DEPTH;
import static nibble.engine.host.vector.MicroKernel.PANEL;

import nibble.engine.backend.Workers;

/**
 * Holds a matrix [rows, columns] that many products are taken with, kept as {@link MicroKernel} wants it: panels of 32
 * columns, each row after row. Columns beyond the last are zeros.
 */
public final class PanelMatrix {
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
    public interface Elements {
        float at(int row, int column);
    }

    /**
     * Lays a matrix out.
     *
     * @throws IllegalArgumentException if it does not fit a Java array
     */
    public static PanelMatrix of(Workers workers, int rows, int columns, Elements elements) {
        int panels = (columns + PANEL - 1) / PANEL;
        long size = (long) panels * PANEL * rows;
        if (size > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException("a matrix of " + rows + " x " + columns + " does not fit a Java array");
        }
        float[] values = new float[(int) size];
        workers.forEach(panels, panel -> {
            int first = panel * PANEL;
            int end = Math.min(first + PANEL, columns);
            for (int row = 0; row < rows; row++) {
                int at = (panel * rows + row) * PANEL - first;
                for (int column = first; column < end; column++) {
                    values[at + column] = elements.at(row, column);
                }
            }
        });
        return new PanelMatrix(values, rows, columns);
    }

    /** Returns the stride of a row that {@link #multiply} can write whole: columns rounded up to whole panels. */
    public int stride() {
        return (columns + PANEL - 1) / PANEL * PANEL;
    }

    public float at(int row, int column) {
        return values[(column / PANEL * rows + row) * PANEL + column % PANEL];
    }

    /** Returns the rows, for a product with the transposed matrix. */
    public RowSource rows() {
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
    public void multiply(
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
        for (int column = from; column < to; column += PANEL) {
            int panel = (column / PANEL * rows + first) * PANEL;
            for (int k = 0; k < count; k += DEPTH) {
                int depth = Math.min(DEPTH, count - k);
                MicroKernel.multiply(
                        rowCount,
                        a,
                        aOffset + k,
                        aStride,
                        values,
                        panel + k * PANEL,
                        depth,
                        c,
                        cOffset + column,
                        cStride,
                        accumulate || k > 0);
            }
        }
    }
}
