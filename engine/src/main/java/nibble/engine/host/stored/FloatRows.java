package nibble.engine.host.stored;

import java.util.Arrays;
import nibble.engine.host.vector.Gemv;
import nibble.engine.host.vector.RowSource;
import nibble.engine.tensor.Weight;

/** Any weight: a row at a time becomes floats, which stay in the cache until they are multiplied. */
final class FloatRows implements RowKernel {
    private static final ThreadLocal<float[]> ROW = ThreadLocal.withInitial(() -> new float[0]);

    private final Weight weight;
    private final RowSource rows;
    private final int rowsPerPiece;

    FloatRows(Weight weight) {
        this.weight = weight;
        this.rows = FewRows.floats(weight, null);
        this.rowsPerPiece = Math.max(1, PIECE_WEIGHTS / Math.max(1, weight.inFeatures()));
    }

    @Override
    public int inputs() {
        return weight.inFeatures();
    }

    @Override
    public int pieces(int count) {
        return (weight.outFeatures() + rowsPerPiece - 1) / rowsPerPiece;
    }

    @Override
    public float[] prepare(float[] x, int offset) {
        return Arrays.copyOfRange(x, offset, offset + weight.inFeatures());
    }

    @Override
    public void run(int piece, float[] x, float[] out, int offset) {
        int columns = weight.inFeatures();
        float[] row = row(columns);
        int end = Math.min(weight.outFeatures(), (piece + 1) * rowsPerPiece);
        for (int n = piece * rowsPerPiece; n < end; n++) {
            rows.read(n, 0, columns, row, 0);
            out[offset + n] = Gemv.dot(x, 0, row, 0, columns);
        }
    }

    /** Room that a thread keeps: made for each piece, it would be most of what a token allocates. */
    static float[] row(int columns) {
        float[] row = ROW.get();
        if (row.length < columns) {
            row = new float[columns];
            ROW.set(row);
        }
        return row;
    }
}
