package nibble.engine.host.stored;

import java.lang.ref.Reference;
import java.util.Arrays;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.engine.host.vector.Gemv;

/** Rows of plain numbers: a row becomes floats, which stay in the cache until they are multiplied. */
final class PlainRows implements RowKernel {
    private final GgufBlocks rows;
    private final int rowsPerPiece;

    /** @param rows F16, BF16 or F32 of a GGUF or safetensors file */
    PlainRows(GgufBlocks rows) {
        this.rows = rows;
        this.rowsPerPiece = Math.max(1, PIECE_WEIGHTS / Math.max(1, rows.columns()));
    }

    @Override
    public int inputs() {
        return rows.columns();
    }

    @Override
    public int pieces(int count) {
        return (rows.rows() + rowsPerPiece - 1) / rowsPerPiece;
    }

    @Override
    public float[] prepare(float[] x, int offset) {
        return Arrays.copyOfRange(x, offset, offset + rows.columns());
    }

    @Override
    public void run(int piece, float[] x, float[] out, int offset) {
        long address = Stored.require(rows.data(), rows.rows() * rows.rowBytes());
        int columns = rows.columns();
        float[] floats = FloatRows.row(columns);
        int end = Math.min(rows.rows(), (piece + 1) * rowsPerPiece);
        for (int row = piece * rowsPerPiece; row < end; row++) {
            long at = address + rows.offset(row);
            switch (rows.type()) {
                case F16 -> Stored.halves(at, columns, floats, 0);
                case BF16 -> Stored.brains(at, columns, floats, 0);
                default -> Stored.singles(at, columns, floats, 0);
            }
            out[offset + row] = Gemv.dot(x, 0, floats, 0, columns);
        }
        Reference.reachabilityFence(rows);
    }
}
