package nibble.engine.host.stored;

import java.lang.foreign.MemorySegment;
import nibble.checkpoint.gguf.GgufBlocks;

/** The rows of a matrix in a GGUF file, multiplied one by one. */
final class BlockRows implements FewRows {
    private final GgufBlocks blocks;
    private final RowDot dot;
    private final int rowsPerPiece;

    /** How one type of block is multiplied. */
    interface RowDot {
        /** The form of {@code x[offset .. offset + columns]} that {@link #of} takes. */
        float[] prepare(float[] x, int offset, int columns);

        /** {@code Σ_k x[k] row[k]} for the row that begins at byte {@code at}. */
        float of(MemorySegment data, long at, int columns, float[] prepared);
    }

    BlockRows(GgufBlocks blocks, RowDot dot) {
        this.blocks = blocks;
        this.dot = dot;
        this.rowsPerPiece = Math.max(1, PIECE_WEIGHTS / Math.max(1, blocks.columns()));
    }

    @Override
    public int pieces() {
        return (blocks.rows() + rowsPerPiece - 1) / rowsPerPiece;
    }

    @Override
    public float[] prepare(float[] x, int offset) {
        return dot.prepare(x, offset, blocks.columns());
    }

    @Override
    public void run(int piece, float[] prepared, float[] out, int offset) {
        int end = Math.min(blocks.rows(), (piece + 1) * rowsPerPiece);
        for (int row = piece * rowsPerPiece; row < end; row++) {
            out[offset + row] = dot.of(blocks.data(), blocks.offset(row), blocks.columns(), prepared);
        }
    }
}
