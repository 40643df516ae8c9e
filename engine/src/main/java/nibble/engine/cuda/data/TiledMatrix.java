package nibble.engine.cuda.data;

import java.util.Map;
import nibble.engine.cuda.driver.DeviceMemory;

/**
 * Holds one or several quantized linears of a common input as one matrix: tiles of 16 rows, cut into units of 256
 * columns, in a layout that decoding streams and prefill expands. Borrows the buffer.
 */
public sealed interface TiledMatrix permits NibbleMatrix, BlockMatrix {
    int TILE_ROWS = 16;
    int UNIT_COLUMNS = 256;

    /**
     * Names the kernels of a layout: the resource, what its kernels' names begin with.
     *
     * @param arranges whether products of several rows can take their rows arranged, on a card with {@code wgmma}
     */
    record Kernels(
            String one,
            String oneName,
            String several,
            String severalName,
            String expansion,
            String expansionName,
            boolean arranges) {}

    /** Returns the rows of all parts together. */
    int rows();

    int inFeatures();

    DeviceMemory.Buffer buffer();

    /** Returns the byte of the buffer that the matrix begins at. */
    long offset();

    /** Returns the bytes of a unit. */
    int unitBytes();

    /** Returns the number of the type in {@code blocks.cuh}. */
    int type();

    /** Returns the constants that its kernels are compiled with. */
    Map<String, Integer> constants();

    Kernels kernels();

    default long address() {
        return buffer().address() + offset();
    }

    default int tiles() {
        return tiles(rows());
    }

    default int units() {
        return units(inFeatures());
    }

    default long bytes() {
        return (long) tiles() * units() * unitBytes();
    }

    static int tiles(int rows) {
        return (rows + TILE_ROWS - 1) / TILE_ROWS;
    }

    static int units(int inFeatures) {
        return (inFeatures + UNIT_COLUMNS - 1) / UNIT_COLUMNS;
    }
}
