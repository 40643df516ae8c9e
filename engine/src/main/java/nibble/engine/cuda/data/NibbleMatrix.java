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
 * @param offset of the first byte in the buffer
 */
public record NibbleMatrix(int rows, int inFeatures, int groupSize, DeviceMemory.Buffer buffer, long offset)
        implements TiledMatrix {
    private static final Kernels KERNELS = new Kernels(
            "w4_linear.cu", "w4_linear", "w4_batch.cu", "w4_batch", "w4_dequantize.cu", "w4_dequantize", true);
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
        return (long) TiledMatrix.tiles(rows) * TiledMatrix.units(inFeatures) * unitBytes(groupSize);
    }

    public static int unitBytes(int groupSize) {
        int groups = groupSize == 0 || groupSize >= UNIT_COLUMNS ? 1 : UNIT_COLUMNS / groupSize;
        return CODE_BYTES + (40 * groups + 15) / 16 * 16;
    }

    @Override
    public int unitBytes() {
        return unitBytes(groupSize);
    }

    @Override
    public int type() {
        return 0;
    }

    @Override
    public Kernels kernels() {
        return KERNELS;
    }

    @Override
    public Map<String, Integer> constants() {
        return Map.of("GROUP_SIZE", groupSize);
    }
}
