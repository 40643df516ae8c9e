package nibble.engine.host.stored;

import java.lang.ref.Reference;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.vector.RowSource;

/** Rows of plain numbers as floats: the library puts them side by side. */
record PlainFloats(GgufBlocks blocks, RowSource rows, Kernels kernels) implements RowSource {
    @Override
    public void read(int row, int column, int count, float[] into, int offset) {
        rows.read(row, column, count, into, offset);
    }

    @Override
    public void fill(int first, int count, int column, int depth, float[] panel, int offset) {
        Stored.require(blocks.data(), blocks.rows() * blocks.rowBytes());
        kernels.fill(blocks, first, count, column, depth, panel, offset);
        Reference.reachabilityFence(blocks);
    }
}
