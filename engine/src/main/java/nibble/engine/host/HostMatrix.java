package nibble.engine.host;

import java.util.Arrays;
import nibble.engine.backend.Extents;
import nibble.engine.host.vector.CachedRows;
import nibble.engine.tensor.Matrix;

/** A matrix on the Java heap. */
final class HostMatrix implements Matrix {
    private static final float[] FREED = new float[0];
    private final int rows;
    private final int columns;
    private float[] values;

    HostMatrix(float[] values, int rows, int columns) {
        if (rows < 0 || columns < 0 || values.length != (long) rows * columns) {
            throw new IllegalArgumentException(
                    values.length + " values given for a matrix of " + rows + " x " + columns);
        }
        this.rows = rows;
        this.columns = columns;
        this.values = values;
    }

    static HostMatrix zeros(int rows, int columns) {
        long elements = (long) rows * columns;
        if (rows < 0 || columns < 0 || elements > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException(
                    "a matrix of " + rows + " x " + columns + " does not fit a Java array; use a shorter context");
        }
        return new HostMatrix(new float[(int) elements], rows, columns);
    }

    static HostMatrix of(Matrix matrix) {
        if (matrix instanceof HostMatrix host) {
            return host;
        }
        throw new IllegalArgumentException(
                "matrix of another backend: " + matrix.getClass().getSimpleName());
    }

    static float[] values(Matrix matrix) {
        HostMatrix host = of(matrix);
        if (host.values == FREED && host.rows != 0 && host.columns != 0) {
            throw new IllegalStateException("matrix [" + host.rows + ", " + host.columns + "] is closed");
        }
        return host.values;
    }

    /** Returns the rows of keys or values as attention reads them. */
    static CachedRows cached(Matrix matrix) {
        return matrix instanceof HostCodeMatrix codes
                ? new CachedRows.Codes(codes.codes(), codes.scales(), codes.columns(), codes.head())
                : new CachedRows.Floats(values(matrix), matrix.columns());
    }

    static float[] copy(Matrix matrix, int from, int count) {
        if (from < 0 || count < 0 || from + count > matrix.rows()) {
            throw new IllegalArgumentException("rows " + from + " to " + (from + count) + " asked of " + matrix.rows());
        }
        int columns = matrix.columns();
        if (matrix instanceof HostCodeMatrix codes) {
            float[] values = new float[count * columns];
            codes.decode(from, count, values, 0);
            return values;
        }
        return Arrays.copyOfRange(values(matrix), from * columns, (from + count) * columns);
    }

    static void copyRows(Matrix source, int from, int count, Matrix target, int firstRow) {
        Extents.require("copyRows", "source", source, source.rows(), target.columns());
        if (from < 0 || count < 0 || from + count > source.rows()) {
            throw new IllegalArgumentException(
                    "copyRows: rows " + from + " to " + (from + count) + " asked of " + source.rows());
        }
        if (firstRow < 0 || firstRow + count > target.rows()) {
            throw new IllegalArgumentException(
                    "copyRows: into rows " + firstRow + " to " + (firstRow + count) + " of " + target.rows());
        }
        if (target instanceof HostCodeMatrix codes) {
            codes.encode(values(source), from, count, firstRow);
            return;
        }
        if (source instanceof HostCodeMatrix codes) {
            codes.decode(from, count, values(target), firstRow);
            return;
        }
        int columns = target.columns();
        System.arraycopy(values(source), from * columns, values(target), firstRow * columns, count * columns);
    }

    @Override
    public int rows() {
        return rows;
    }

    @Override
    public int columns() {
        return columns;
    }

    @Override
    public void close() {
        values = FREED;
    }
}
