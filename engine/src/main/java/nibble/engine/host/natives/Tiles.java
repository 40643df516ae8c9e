package nibble.engine.host.natives;

import static nibble.engine.host.natives.NativeFunction.floats;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** Computes products of fp32 matrices by AMX's tiles; {@code amx.c} says how. Arguments are checked here. */
public final class Tiles {
    /** Whether this machine and its system have them. */
    static final boolean EXIST = NativeFunction.number("tiles", 0) != 0;

    /** Columns of b that a product takes at a time, and their depth: whole tiles. */
    public static final int PANEL = 32;

    public static final int DEPTH = 256;

    /** Tiles of three parts of 16 rows of 32 columns. */
    private static final int TILE_BYTES = 3 * 1024;

    private static final NativeFunction SPLIT = NativeFunction.of("split");
    private static final NativeFunction PRODUCT = NativeFunction.of("product");

    private Tiles() {}

    /** Returns the bytes of sixteen rows as tiles. */
    public static long tileBytes(int columns) {
        return (columns + 31L) / 32 * TILE_BYTES;
    }

    /**
     * Splits up to sixteen rows of a matrix into tiles.
     *
     * @param tiles room at a multiple of 64
     */
    public static void split(float[] a, int row, int rows, int columns, MemorySegment tiles) {
        Objects.checkFromIndexSize(row * (long) columns, rows * (long) columns, a.length);
        requireTiles(tiles, tileBytes(columns));
        SPLIT.call(new long[] {rows, columns}, floats(a, row * columns), tiles);
    }

    /**
     * Says where a product's columns are.
     *
     * @param from the first column of a, a multiple of 32
     * @param depth columns of a, at most {@link #DEPTH}
     * @param stride of c
     * @param offset of the first result in c
     * @param columns of c, at most {@link #PANEL}
     */
    public record Place(int from, int depth, int stride, int offset, int columns) {}

    /** Returns the bytes of room that {@link #product} takes for the tiles of a panel. */
    public static long scratchBytes() {
        return 2L * TILE_BYTES * (DEPTH / 32);
    }

    /** Returns the bytes of room for the sums of a panel. */
    public static long sumBytes(int rows) {
        return (rows + 31L) / 32 * 32 * PANEL * Float.BYTES;
    }

    /**
     * Multiplies a by some columns of b. Calls for the same columns go through a's columns in order with the same sums;
     * the one that reaches their end writes c.
     *
     * @param tiles of a
     * @param panel columns of b as rows, [columns, depth]
     */
    public static void product(
            MemorySegment tiles,
            int rows,
            int columns,
            float[] panel,
            Place place,
            float[] c,
            MemorySegment scratch,
            MemorySegment sums) {
        requireTiles(tiles, (rows + 15L) / 16 * tileBytes(columns));
        requireTiles(scratch, scratchBytes());
        requireTiles(sums, sumBytes(rows));
        Objects.checkFromIndexSize(place.from, place.depth, columns);
        Objects.checkFromIndexSize(0, place.depth * place.columns, panel.length);
        Objects.checkFromIndexSize(place.offset, (rows - 1L) * place.stride + place.columns, c.length);
        if (place.from % 32 != 0 || place.depth > DEPTH || place.columns > PANEL || place.stride < place.columns) {
            throw new IllegalArgumentException(place + " is no place of a product");
        }
        PRODUCT.call(
                new long[] {rows, columns, place.from, place.depth, place.stride, place.columns},
                tiles,
                MemorySegment.ofArray(panel),
                floats(c, place.offset),
                scratch,
                sums);
    }

    private static void requireTiles(MemorySegment room, long bytes) {
        if (!room.isNative() || room.address() % 64 != 0 || room.byteSize() < bytes) {
            throw new IllegalArgumentException("room of " + room.byteSize() + " bytes, " + bytes
                    + " expected, outside the heap and at a multiple of 64");
        }
    }
}
