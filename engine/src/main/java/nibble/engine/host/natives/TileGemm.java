package nibble.engine.host.natives;

import static nibble.engine.host.natives.Tiles.DEPTH;
import static nibble.engine.host.natives.Tiles.PANEL;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.Tiles.Place;
import org.jspecify.annotations.Nullable;

/**
 * Computes {@code c[m, n] = Σ_k a[m, k] b[n, k]} by AMX's tiles: a linear layer of many tokens. All of a becomes tiles
 * first. A task is some columns of c, whose parts 256 deep are read once; a part of a's rows as deep stays in the
 * second-level cache while the columns pass by.
 */
public final class TileGemm {
    /** Most columns of a task: enough that fetching a costs little. */
    private static final int COLUMNS = 8 * PANEL;

    /** Rows that pass by the columns of a task at a time, whose tiles 256 deep are 768 KiB. */
    private static final int ROWS = 512;

    /** Rows of a task at most: their sums stay in a thread's room. */
    private static final int MOST_ROWS = 4 * ROWS;

    /** Rows of a tile. */
    private static final int TILE = 16;

    /** A thread's room for the tiles of a panel, and for the sums of a task. */
    private static final ThreadLocal<MemorySegment> WORK = ThreadLocal.withInitial(
            () -> Arena.ofAuto().allocate(Tiles.scratchBytes() + COLUMNS / PANEL * Tiles.sumBytes(MOST_ROWS), 64));

    /** A thread's room for the panels of a task. */
    private static final ThreadLocal<float[][]> PANELS =
            ThreadLocal.withInitial(() -> new float[COLUMNS / PANEL][PANEL * DEPTH]);

    /** Room for tiles of a, kept from one product to the next. */
    private final AtomicReference<@Nullable MemorySegment> room = new AtomicReference<>();

    /**
     * Names one of the products that share a.
     *
     * @param b n rows of k columns
     * @param c [m, n]
     */
    public record Columns(PanelSource b, int n, float[] c) {}

    /**
     * Multiplies.
     *
     * @param b n rows of k columns
     */
    public void multiply(Workers workers, float[] a, int m, int k, PanelSource b, int n, float[] c) {
        multiply(workers, a, m, k, List.of(new Columns(b, n, c)));
    }

    /** Multiplies a by several matrices. */
    public void multiply(Workers workers, float[] a, int m, int k, List<Columns> products) {
        long tileRow = Tiles.tileBytes(k);
        int tileRows = (m + TILE - 1) / TILE;
        MemorySegment tiles = take(tileRows * tileRow);
        workers.forEach(tileRows, i -> {
            MemorySegment to = tiles.asSlice(i * tileRow, tileRow);
            Tiles.split(a, i * TILE, Math.min(TILE, m - i * TILE), k, to);
        });
        int all = products.stream().mapToInt(Columns::n).sum();
        int width = columnsOfTask(all, workers.threads());
        int[] first = new int[products.size() + 1];
        for (int i = 0; i < products.size(); i++) {
            first[i + 1] = first[i] + (products.get(i).n + width - 1) / width;
        }
        int groups = first[products.size()];
        int rowGroups = (m + MOST_ROWS - 1) / MOST_ROWS;
        workers.forEach(groups * rowGroups, task -> {
            int row = task / groups * MOST_ROWS;
            int product = 0;
            while (first[product + 1] <= task % groups) {
                product++;
            }
            Columns of = products.get(product);
            int column = (task % groups - first[product]) * width;
            MemorySegment part = tiles.asSlice(row / TILE * tileRow);
            int columns = Math.min(width, of.n - column);
            group(part, Math.min(MOST_ROWS, m - row), k, of.b, column, columns, of.n, of.c, row * of.n);
        });
        Reference.reachabilityFence(tiles);
        room.set(tiles);
    }

    /** As many tasks as threads, or a multiple; whole panels, since these decide which products are left out. */
    private static int columnsOfTask(int n, int threads) {
        int rounds = (n + COLUMNS * threads - 1) / (COLUMNS * threads);
        int columns = (n + rounds * threads - 1) / Math.max(1, rounds * threads);
        return (Math.max(1, columns) + PANEL - 1) / PANEL * PANEL;
    }

    private static void group(
            MemorySegment tiles, int rows, int k, PanelSource b, int first, int columns, int n, float[] c, int offset) {
        float[][] panels = PANELS.get();
        MemorySegment work = WORK.get();
        MemorySegment scratch = work.asSlice(0, Tiles.scratchBytes());
        long tileRow = Tiles.tileBytes(k);
        for (int from = 0; from < k; from += DEPTH) {
            int depth = Math.min(DEPTH, k - from);
            for (int column = 0; column < columns; column += PANEL) {
                b.read(first + column, Math.min(PANEL, columns - column), from, depth, panels[column / PANEL]);
            }
            for (int row = 0; row < rows; row += ROWS) {
                int some = Math.min(ROWS, rows - row);
                MemorySegment part = tiles.asSlice(row / TILE * tileRow);
                for (int column = 0; column < columns; column += PANEL) {
                    int count = Math.min(PANEL, columns - column);
                    Place place = new Place(from, depth, n, offset + row * n + first + column, count);
                    long sums = Tiles.scratchBytes() + column / PANEL * Tiles.sumBytes(MOST_ROWS) + Tiles.sumBytes(row);
                    Tiles.product(part, some, k, panels[column / PANEL], place, c, scratch, work.asSlice(sums));
                }
            }
        }
    }

    private MemorySegment take(long bytes) {
        MemorySegment kept = room.getAndSet(null);
        return kept != null && kept.byteSize() >= bytes ? kept : Arena.ofAuto().allocate(bytes, 64);
    }
}
