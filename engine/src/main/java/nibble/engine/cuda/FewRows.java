package nibble.engine.cuda;

import java.util.HashMap;
import java.util.Map;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.NibbleMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;

/**
 * Products of 1 to 8 rows of activations with 4-bit weights, by {@code w4_linear.cu}: the weights are read once and never
 * expanded. Geometry by the README beside the kernels.
 */
final class FewRows {
    static final int MOST = 8;
    private static final int TILE_ROWS = 16;
    private static final int UNIT_COLUMNS = 256;
    private static final int THREADS = 256;
    private static final int WARPS = THREADS / 32;
    /** Shared memory that the activations of a panel may take. */
    private static final int PANEL_BYTES = 65536;

    private final KernelCache kernels;
    private final CudaDevice device;

    FewRows(KernelCache kernels, CudaDevice device) {
        this.kernels = kernels;
        this.device = device;
    }

    /** {@code out = x wᵀ}, fp16 out of as many columns as the whole matrix has rows. */
    void multiply(CudaStream stream, CudaMatrix x, NibbleMatrix matrix, long out) {
        int rows = x.rows();
        Map<String, Integer> constants = new HashMap<>(matrix.constants());
        constants.put("ROWS", rows);
        int unitBytes = NibbleMatrix.unitBytes(matrix.groupSize());
        int units = matrix.units();
        int tilesPerBlock = ceil(matrix.tiles(), device.multiprocessors());
        int panelUnits = Math.min(units, Math.max(1, PANEL_BYTES / (2 * rows) / UNIT_COLUMNS));
        int panels = ceil(units, panelUnits);
        int rest = 64 * TILE_ROWS * rows
                + 256
                + 2 * rows * (panelUnits * UNIT_COLUMNS + 32)
                + (panels > 1 ? 64 * rows * tilesPerBlock : 0);
        int perSlot = WARPS * unitBytes + 64;
        int slots = (device.sharedBytesPerMultiprocessor() / 2 - 1024 - rest) / perSlot;
        if (slots < 2) {
            slots = (device.sharedBytesPerBlock() - rest) / perSlot;
        }
        slots = Math.min(slots, ceil(tilesPerBlock * units, WARPS));
        kernels.kernel("w4_linear.cu", "w4_linear", constants)
                .launch(
                        stream,
                        Kernel.Grid.of(ceil(matrix.tiles(), tilesPerBlock)),
                        THREADS,
                        rest + slots * perSlot,
                        out,
                        matrix.buffer().address(),
                        x.address(),
                        0L,
                        0f,
                        matrix.inFeatures(),
                        matrix.rows(),
                        tilesPerBlock,
                        panelUnits,
                        slots);
    }

    private static int ceil(int a, int b) {
        return (a + b - 1) / b;
    }
}
