package nibble.engine.host.natives;

import static nibble.engine.host.natives.NativeFunction.floats;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.engine.backend.Workers;
import org.jspecify.annotations.Nullable;

/**
 * Computes {@code c[m, n] = Σ_k a[m, k] b[n, k]} by AMX's tiles of bytes or by AVX2: a linear layer of many tokens.
 * Activations are bytes of {@link nibble.engine.backend.Activations#INT8}. All of a is prepared first. A task is some
 * rows of a and some columns of c; it spreads its weights once for all these rows.
 */
public final class ByteGemm {
    private static final NativeFunction ROWS = NativeFunction.of("byte_rows");
    private static final NativeFunction PRODUCT = NativeFunction.of("byte_product");
    private static final NativeFunction CODE_PRODUCT = NativeFunction.of("code_product");
    private static final NativeFunction ROOM = NativeFunction.of("byte_room");
    private static final NativeFunction ROW_BYTES = NativeFunction.of("byte_row_bytes");

    /** Columns of a task: enough that fetching its part of a costs little. */
    private static final int COLUMNS = 128;

    /** Rows of a task: its sums take 256 KiB of the second-level cache, 256 columns of its rows 192 KiB. */
    private static final int MOST_ROWS = 512;

    /** Rows of a tile. */
    private static final int TILE = 16;

    /** A thread's room for the tiles of a panel, and for the sums of a task. */
    private static final ThreadLocal<MemorySegment> WORK =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(mostRoom(), 64));

    /** Room for a, kept from one product to the next. */
    private final AtomicReference<@Nullable MemorySegment> room = new AtomicReference<>();

    /** Whether by tiles: 1, or 0. */
    private final long tiles;

    /**
     * Multiplies as some kernels do.
     *
     * @param kernels that {@link Kernels#multipliesManyBytes}
     */
    public ByteGemm(Kernels kernels) {
        if (!kernels.multipliesManyBytes()) {
            throw new IllegalArgumentException("no products of many rows of bytes with " + kernels.name());
        }
        this.tiles = kernels.hasTiles() ? 1 : 0;
    }

    /** Names a matrix and where its products go, [m, matrix.outputs()]. */
    public record Product(ByteMatrix matrix, float[] c) {}

    /**
     * Multiplies by some matrices.
     *
     * @param a m rows of k columns, which all the matrices have
     */
    public void multiply(Workers workers, float[] a, int m, int k, List<Product> products) {
        Objects.checkFromIndexSize(0, Math.multiplyExact(m, k), a.length);
        for (Product product : products) {
            ByteMatrix matrix = product.matrix;
            boolean isRead = switch (matrix) {
                case ByteMatrix.Blocks(GgufBlocks blocks, long _) ->
                    !blocks.type().isPlain();
                case CodeMatrix codes -> codes.groupSize() % 32 == 0;
            };
            if (matrix.columns() != k || k % 32 != 0 || !isRead) {
                throw new IllegalArgumentException(matrix + ", a matrix of " + k + " columns in whole 32 expected");
            }
            Objects.checkFromIndexSize(0, Math.multiplyExact(m, matrix.outputs()), product.c.length);
        }
        long tileRow = rowBytes(k);
        int tileRows = (m + TILE - 1) / TILE;
        MemorySegment prepared = take(tileRows * tileRow);
        workers.forEach(
                tileRows, i -> prepare(a, i * TILE, Math.min(TILE, m - i * TILE), k, prepared.asSlice(i * tileRow)));
        // Few rows of a short matrix: a task's columns are fewer then, so that every thread has some.
        int columns = m <= 4 * TILE ? COLUMNS / 4 : COLUMNS;
        int[] first = new int[products.size() + 1];
        for (int i = 0; i < products.size(); i++) {
            first[i + 1] = first[i] + (products.get(i).matrix.outputs() + columns - 1) / columns;
        }
        int panels = first[products.size()];
        int rowGroups = (m + MOST_ROWS - 1) / MOST_ROWS;
        workers.forEach(panels * rowGroups, task -> {
            int row = task / panels * MOST_ROWS;
            int panel = task % panels;
            int i = 0;
            while (panel >= first[i + 1]) {
                i++;
            }
            MemorySegment part = prepared.asSlice(row / TILE * tileRow);
            Product product = products.get(i);
            int column = (panel - first[i]) * columns;
            int count = Math.min(columns, product.matrix.outputs() - column);
            product(product, column, count, part, row, Math.min(MOST_ROWS, m - row));
        });
        Reference.reachabilityFence(prepared);
        room.set(prepared);
    }

    private static void prepare(float[] a, int row, int rows, int k, MemorySegment to) {
        ROWS.call(new long[] {rows, k}, floats(a, row * k), to);
    }

    private void product(Product product, int column, int count, MemorySegment rowsOfA, int row, int rows) {
        ByteMatrix matrix = product.matrix;
        MemorySegment out = floats(product.c, row * matrix.outputs() + column);
        long faults = Guard.faults();
        switch (matrix) {
            case ByteMatrix.Blocks(GgufBlocks blocks, long weights) ->
                PRODUCT.call(
                        new long[] {
                            tiles,
                            blocks.type().id(),
                            weights,
                            blocks.headDim(),
                            column,
                            count,
                            blocks.columns(),
                            rows,
                            blocks.rows()
                        },
                        rowsOfA,
                        out,
                        WORK.get());
            case CodeMatrix codes ->
                CODE_PRODUCT.call(
                        new long[] {
                            tiles,
                            codes.layout().ordinal(),
                            codes.codes(),
                            codes.zeros(),
                            codes.scales(),
                            codes.lessOne() ? 1 : 0,
                            codes.outputs(),
                            codes.groups(),
                            codes.groupSize(),
                            column,
                            count,
                            rows,
                            codes.outputs()
                        },
                        rowsOfA,
                        out,
                        WORK.get());
        }
        Guard.requireNone(faults);
    }

    /** The function for tiles has instructions that other processors lack. */
    private static long mostRoom() {
        return Math.max(room(0), Tiles.EXIST ? room(1) : 0);
    }

    private static long room(long tiles) {
        return ROOM.call(new long[] {tiles, COLUMNS, MOST_ROWS});
    }

    private static long rowBytes(int columns) {
        return ROW_BYTES.call(new long[] {columns});
    }

    private MemorySegment take(long bytes) {
        MemorySegment kept = room.getAndSet(null);
        return kept != null && kept.byteSize() >= bytes ? kept : Arena.ofAuto().allocate(bytes, 64);
    }
}
