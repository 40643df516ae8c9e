package nibble.engine.host.natives;

import nibble.checkpoint.gguf.GgufBlocks;

/** Describes a matrix of weights in memory that {@link ByteGemm} multiplies by; the caller has checked its extents. */
public sealed interface ByteMatrix permits ByteMatrix.Blocks, CodeMatrix {
    /** Returns the rows of weights. */
    int outputs();

    /** Returns the weights of a row. */
    int columns();

    /**
     * Holds rows of blocks as GGUF has them.
     *
     * @param address of all rows
     */
    record Blocks(GgufBlocks matrix, long address) implements ByteMatrix {
        @Override
        public int outputs() {
            return matrix.rows();
        }

        @Override
        public int columns() {
            return matrix.columns();
        }
    }
}
