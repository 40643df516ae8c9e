package nibble.engine.host.natives;

import static nibble.engine.host.natives.Tiles.DEPTH;
import static nibble.engine.host.natives.Tiles.PANEL;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.concurrent.atomic.AtomicReference;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.Tiles.Place;
import nibble.engine.host.vector.RowSource;
import org.jspecify.annotations.Nullable;

/**
 * Computes {@code c[m, n] = Σ_k a[m, k] b[n, k]} by AMX's tiles: a linear layer of many tokens. All of a becomes tiles
 * first. A task is some rows of a and some columns of c; a part of these rows 256 deep stays in the second-level cache
 * while the columns pass by.
 */
public final class TileGemm {
    /** Columns of a task: enough that fetching its part of a costs little. */
    private static final int COLUMNS = 8 * PANEL;

    /** Rows of a task, whose tiles 256 deep are 768 KiB. */
    private static final int ROWS = 512;

    /** Rows of a tile. */
    private static final int TILE = 16;

    /** A thread's room for the tiles of a panel, and for the sums of a task. */
    private static final ThreadLocal<MemorySegment> WORK = ThreadLocal.withInitial(
            () -> Arena.ofAuto().allocate(Tiles.scratchBytes() + COLUMNS / PANEL * Tiles.sumBytes(ROWS), 64));

    /** Room for tiles of a, kept from one product to the next. */
    private final AtomicReference<@Nullable MemorySegment> room = new AtomicReference<>();

    /**
     * Multiplies.
     *
     * @param b n rows of k columns
     */
    public void multiply(Workers workers, float[] a, int m, int k, RowSource b, int n, float[] c) {
        long tileRow = Tiles.tileBytes(k);
        int tileRows = (m + TILE - 1) / TILE;
        MemorySegment tiles = take(tileRows * tileRow);
        workers.forEach(tileRows, i -> {
            MemorySegment to = tiles.asSlice(i * tileRow, tileRow);
            Tiles.split(a, i * TILE, Math.min(TILE, m - i * TILE), k, to);
        });
        int groups = (n + COLUMNS - 1) / COLUMNS;
        int rowGroups = (m + ROWS - 1) / ROWS;
        workers.forEach(groups * rowGroups, task -> {
            int row = task / groups * ROWS;
            int column = task % groups * COLUMNS;
            MemorySegment part = tiles.asSlice(row / TILE * tileRow);
            group(part, Math.min(ROWS, m - row), k, b, column, Math.min(COLUMNS, n - column), n, c, row * n);
        });
        Reference.reachabilityFence(tiles);
        room.set(tiles);
    }

    private static void group(
            MemorySegment tiles, int rows, int k, RowSource b, int first, int columns, int n, float[] c, int offset) {
        float[] panel = new float[PANEL * DEPTH];
        MemorySegment work = WORK.get();
        MemorySegment scratch = work.asSlice(0, Tiles.scratchBytes());
        for (int from = 0; from < k; from += DEPTH) {
            int depth = Math.min(DEPTH, k - from);
            for (int column = first; column < first + columns; column += PANEL) {
                int count = Math.min(PANEL, first + columns - column);
                for (int i = 0; i < count; i++) {
                    b.read(column + i, from, depth, panel, i * depth);
                }
                Place place = new Place(from, depth, n, offset + column, count);
                long sums = Tiles.scratchBytes() + (column - first) / PANEL * Tiles.sumBytes(ROWS);
                Tiles.product(tiles, rows, k, panel, place, c, scratch, work.asSlice(sums));
            }
        }
    }

    private MemorySegment take(long bytes) {
        MemorySegment kept = room.getAndSet(null);
        return kept != null && kept.byteSize() >= bytes ? kept : Arena.ofAuto().allocate(bytes, 64);
    }
}
