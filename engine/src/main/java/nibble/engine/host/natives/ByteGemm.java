package nibble.engine.host.natives;

import static nibble.engine.host.natives.NativeFunctions.count;
import static nibble.engine.host.natives.NativeFunctions.floats;
import static nibble.engine.host.natives.NativeFunctions.function;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
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
    private static final MethodHandle ROWS = function("nibble_byte_rows", 2, 2);
    private static final MethodHandle PRODUCT = function("nibble_byte_product", 9, 3);
    private static final MethodHandle CODE_PRODUCT = function("nibble_code_product", 13, 3);
    private static final MethodHandle ROOM = count("nibble_byte_room", 3);
    private static final MethodHandle ROW_BYTES = count("nibble_byte_row_bytes", 1);

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
        try {
            ROWS.invokeExact((long) rows, (long) k, floats(a, row * k), to);
        } catch (Throwable e) {
            throw NativeFunctions.failure(e);
        }
    }

    private void product(Product product, int column, int count, MemorySegment rowsOfA, int row, int rows) {
        ByteMatrix matrix = product.matrix;
        MemorySegment out = floats(product.c, row * matrix.outputs() + column);
        long faults = Guard.faults();
        try {
            switch (matrix) {
                case ByteMatrix.Blocks(GgufBlocks blocks, long weights) ->
                    PRODUCT.invokeExact(
                            tiles,
                            (long) blocks.type().id(),
                            weights,
                            (long) blocks.headDim(),
                            (long) column,
                            (long) count,
                            (long) blocks.columns(),
                            (long) rows,
                            (long) blocks.rows(),
                            rowsOfA,
                            out,
                            WORK.get());
                case CodeMatrix codes ->
                    CODE_PRODUCT.invokeExact(
                            tiles,
                            (long) codes.layout().ordinal(),
                            codes.codes(),
                            codes.zeros(),
                            codes.scales(),
                            codes.lessOne() ? 1L : 0L,
                            (long) codes.outputs(),
                            (long) codes.groups(),
                            (long) codes.groupSize(),
                            (long) column,
                            (long) count,
                            (long) rows,
                            (long) codes.outputs(),
                            rowsOfA,
                            out,
                            WORK.get());
            }
        } catch (Throwable e) {
            throw NativeFunctions.failure(e);
        }
        Guard.requireNone(faults);
    }

    /** The function for tiles has instructions that other processors lack. */
    private static long mostRoom() {
        return Math.max(room(0), Tiles.EXIST ? room(1) : 0);
    }

    private static long room(long tiles) {
        try {
            return (long) ROOM.invokeExact(tiles, (long) COLUMNS, (long) MOST_ROWS);
        } catch (Throwable e) {
            throw NativeFunctions.failure(e);
        }
    }

    private static long rowBytes(int columns) {
        try {
            return (long) ROW_BYTES.invokeExact((long) columns);
        } catch (Throwable e) {
            throw NativeFunctions.failure(e);
        }
    }

    private MemorySegment take(long bytes) {
        MemorySegment kept = room.getAndSet(null);
        return kept != null && kept.byteSize() >= bytes ? kept : Arena.ofAuto().allocate(bytes, 64);
    }
}
