package nibble.engine.host.stored;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.host.natives.Inputs;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.natives.Kernels.Range;
import nibble.engine.host.natives.Prepared;
import nibble.engine.host.natives.RowSteps;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.StoredWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.StoredCodes;
import org.jspecify.annotations.Nullable;

/** Rows of plain numbers or blocks, multiplied by the native library. */
final class NativeRows implements FewRows {
    /** Rows of activations that pass by a piece of weights at a time: both stay in the second-level cache. */
    static final int BATCH = 64;

    private final GgufBlocks rows;
    private final Kernels kernels;
    private final int rowsPerPiece;

    private NativeRows(GgufBlocks rows, int threads, Kernels kernels) {
        this.rows = rows;
        this.kernels = kernels;
        this.rowsPerPiece = FewRows.rowsPerPiece(rows.rows(), rows.columns(), threads);
    }

    /** Returns the library's kernel for a weight, or null where it has none. */
    static @Nullable FewRows of(Weight weight, int threads, Kernels kernels) {
        return switch (weight) {
            case BlockWeight(String _, GgufBlocks blocks)
            when blocks.data().isNative() && blocks.columns() % blocks.type().blockElements() == 0 ->
                new NativeRows(blocks, threads, kernels);
            case DenseWeight(TensorView tensor)
            when tensor.data().isNative() -> new NativeRows(FewRows.plain(tensor), threads, kernels);
            case AwqWeight(AwqLayout.AwqLinear linear)
            when linear.tensors().qweight().isNative() -> NativeCodes.awq(linear, threads, kernels);
            case StoredWeight(StoredCodes codes)
            when codes.codes().isNative()
                    && codes.inFeatures() / codes.groups() % (codes.byRows() ? 32 : codes.perWord()) == 0 ->
                NativeCodes.stored(codes, threads, kernels);
            default -> null;
        };
    }

    @Override
    public int pieces(int count) {
        return (rows.rows() + rowsPerPiece - 1) / rowsPerPiece;
    }

    @Override
    public void record(RowSteps products, MemorySegment out) {
        long address = Stored.require(rows.data(), rows.rows() * rows.rowBytes());
        products.rows(kernels, rows, address, rowsPerPiece, out);
    }

    @Override
    public Product prepare(Inputs x, int outputs) {
        int count = x.rows();
        Prepared prepared = kernels.prepare(rows, x);
        return (fromPiece, toPiece, out) -> {
            long address = Stored.require(rows.data(), rows.rows() * rows.rowBytes());
            int first = fromPiece * rowsPerPiece;
            int end = Math.min(rows.rows(), toPiece * rowsPerPiece);
            for (int from = 0; from < count; from += BATCH) {
                Range range = new Range(first, end, from, Math.min(BATCH, count - from));
                kernels.rows(rows, address, range, prepared, out);
            }
            Reference.reachabilityFence(rows);
        };
    }
}
