package nibble.engine.cuda.data;

import java.util.Map;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.pack.QuantizationSpec;

/**
 * Holds one or several 4-bit linears of a common input as one matrix in the layout of {@code w4.cuh}: tiles of 16 rows,
 * cut into units of 256 columns.
 *
 * @param rows of all parts together
 * @param groupSize columns of a group, 0 for whole rows
 */
public record NibbleMatrix(int rows, int inFeatures, int groupSize, DeviceMemory.Buffer buffer) {
    private static final int TILE_ROWS = 16;
    private static final int UNIT_COLUMNS = 256;
    private static final int CODE_BYTES = TILE_ROWS * UNIT_COLUMNS / 2;

    /**
     * Checks that an input can be laid out.
     *
     * @throws IllegalArgumentException if the input cannot be laid out so
     */
    public static int requireFits(String name, int inFeatures) {
        if (inFeatures % 32 != 0) {
            throw new IllegalArgumentException(name + ": " + inFeatures
                    + " in-features, CUDA needs a multiple of 32 for 4-bit weights; use --device cpu");
        }
        return inFeatures;
    }

    public static int groupSize(QuantizationSpec spec) {
        return spec.groupSize() == QuantizationSpec.WHOLE_ROW ? 0 : spec.groupSize();
    }

    /** Returns the bytes of a matrix. */
    public static long bytes(int rows, int inFeatures, int groupSize) {
        return (long) tiles(rows) * units(inFeatures) * unitBytes(groupSize);
    }

    public static int unitBytes(int groupSize) {
        int groups = groupSize == 0 || groupSize >= UNIT_COLUMNS ? 1 : UNIT_COLUMNS / groupSize;
        return CODE_BYTES + (40 * groups + 15) / 16 * 16;
    }

    private static int tiles(int rows) {
        return (rows + TILE_ROWS - 1) / TILE_ROWS;
    }

    private static int units(int inFeatures) {
        return (inFeatures + UNIT_COLUMNS - 1) / UNIT_COLUMNS;
    }

    public int tiles() {
        return tiles(rows);
    }

    public int units() {
        return units(inFeatures);
    }

    /** Returns the constants that its kernels are compiled with. */
    public Map<String, Integer> constants() {
        return Map.of("GROUP_SIZE", groupSize);
    }
}
