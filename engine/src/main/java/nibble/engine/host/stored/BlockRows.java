package nibble.engine.host.stored;

import java.lang.ref.Reference;
import nibble.checkpoint.gguf.GgufBlocks;

/** The rows of a matrix in a GGUF file, multiplied two by two where two share what they load of x. */
final class BlockRows implements RowKernel {
    private final GgufBlocks blocks;
    private final RowDot dot;
    private final int rowsPerPiece;

    /** How one type of block is multiplied. */
    interface RowDot {
        /** Returns the form of {@code x[offset .. offset + columns]} that the products take. */
        float[] prepare(float[] x, int offset, int columns);

        /** Computes {@code Σ_k x[k] row[k]} for the row at an address. */
        float one(long row, int columns, float[] prepared);

        /** Computes {@link #one} for two rows, each with the bits that it has alone. */
        void two(long first, long second, int columns, float[] prepared, float[] out, int to, int secondTo);
    }

    BlockRows(GgufBlocks blocks, RowDot dot) {
        this.blocks = blocks;
        this.dot = dot;
        this.rowsPerPiece = Math.max(2, PIECE_WEIGHTS / Math.max(1, blocks.columns()) / 2 * 2);
    }

    @Override
    public int inputs() {
        return blocks.columns();
    }

    @Override
    public int pieces(int count) {
        return (blocks.rows() + rowsPerPiece - 1) / rowsPerPiece;
    }

    @Override
    public float[] prepare(float[] x, int offset) {
        return dot.prepare(x, offset, blocks.columns());
    }

    @Override
    public void run(int piece, float[] prepared, float[] out, int offset) {
        long address = Stored.require(blocks.data(), blocks.rows() * blocks.rowBytes());
        int columns = blocks.columns();
        int end = Math.min(blocks.rows(), (piece + 1) * rowsPerPiece);
        int first = piece * rowsPerPiece;
        // Half a piece apart, the two rows are two streams to the processor, each with its own prefetching.
        int pairs = (end - first) / 2;
        for (int row = first; row < first + pairs; row++) {
            dot.two(
                    address + blocks.offset(row),
                    address + blocks.offset(row + pairs),
                    columns,
                    prepared,
                    out,
                    offset + row,
                    offset + row + pairs);
        }
        for (int row = first + 2 * pairs; row < end; row++) {
            out[offset + row] = dot.one(address + blocks.offset(row), columns, prepared);
        }
        Reference.reachabilityFence(blocks);
    }
}
