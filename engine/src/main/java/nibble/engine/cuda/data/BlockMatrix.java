package nibble.engine.cuda.data;

import java.util.Map;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.cuda.driver.DeviceMemory;

/**
 * Holds linears of one of GGUF's block types in the layout of {@code blocks.cuh}: the bytes of the file, in another
 * order.
 *
 * @param rows of all parts together
 * @param offset of the first byte in the buffer
 */
public record BlockMatrix(GgufType blocks, int rows, int inFeatures, DeviceMemory.Buffer buffer, long offset)
        implements TiledMatrix {
    private static final Kernels KERNELS = new Kernels(
            "block_linear.cu", "block_linear", "block_batch.cu", "block_batch", "blocks.cu", "block_dequantize", false);

    /** Returns the bytes of a matrix: those of the file, but for what pads the last tile and unit. */
    public static long bytes(GgufType type, int rows, int inFeatures) {
        return (long) TiledMatrix.tiles(rows) * TiledMatrix.units(inFeatures) * unitBytes(type);
    }

    /** MXFP4's power of two takes two bytes, as other scales do. */
    private static int unitBytes(GgufType type) {
        GgufType asLong = type == GgufType.MXFP4 ? GgufType.IQ4_NL : type;
        return Math.toIntExact(TILE_ROWS * asLong.bytes(UNIT_COLUMNS));
    }

    @Override
    public int unitBytes() {
        return unitBytes(blocks);
    }

    @Override
    public int type() {
        return blocks.id();
    }

    @Override
    public Map<String, Integer> constants() {
        return Map.of("BLOCK_TYPE", blocks.id());
    }

    @Override
    public Kernels kernels() {
        return KERNELS;
    }
}
