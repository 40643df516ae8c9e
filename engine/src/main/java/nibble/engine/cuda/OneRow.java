package nibble.engine.cuda;

import java.util.HashMap;
import java.util.Map;
import nibble.engine.cuda.data.BlockMatrix;
import nibble.engine.cuda.data.TiledMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;

/**
 * Products of one row of activations with a whole matrix of quantized weights, by {@code w4_linear.cu} and {@code
 * block_linear.cu}, which export what their launch depends on. {@link BatchRows} has other numbers of rows, and parts.
 */
final class OneRow {
    /** Shared memory that the activations of a panel may take. */
    private static final int PANEL_BYTES = 65536;

    /** What {@code w4_linear_launch} and {@code block_linear_launch} say. */
    private record Launch(int threads, int warps, int unitBytes, int unitColumns, int tileRows, int fixedBytes) {
        static Launch of(int[] exported) {
            return new Launch(exported[0], exported[1], exported[2], exported[3], exported[4], exported[5]);
        }
    }

    private final Map<Map<String, Integer>, Launch> launches = new HashMap<>();
    private final KernelCache kernels;
    private final CudaDevice device;

    OneRow(KernelCache kernels, CudaDevice device) {
        this.kernels = kernels;
        this.device = device;
    }

    /** Whether there is a kernel with fp32 out. */
    static boolean single(TiledMatrix matrix) {
        return matrix instanceof BlockMatrix;
    }

    /** Returns the code of such a product with a matrix. */
    static KernelCache.Code code(TiledMatrix matrix) {
        return new KernelCache.Code(matrix.kernels().one(), constants(matrix));
    }

    private static Map<String, Integer> constants(TiledMatrix matrix) {
        Map<String, Integer> constants = new HashMap<>(matrix.constants());
        constants.put("ROWS", 1);
        return constants;
    }

    /**
     * {@code out = x wᵀ}, of as many columns as the whole matrix has rows.
     *
     * @param single fp32 out instead of fp16, where {@link #single(TiledMatrix)}
     */
    void multiply(CudaStream stream, long x, TiledMatrix matrix, long out, boolean single) {
        TiledMatrix.Kernels names = matrix.kernels();
        Map<String, Integer> constants = constants(matrix);
        Launch launch = launches.computeIfAbsent(
                constants, _ -> Launch.of(kernels.integers(names.one(), names.oneName() + "_launch", constants)));
        int units = matrix.units();
        int tilesPerBlock = ceil(matrix.tiles(), device.multiprocessors());
        int panelUnits = Math.min(units, Math.max(1, PANEL_BYTES / 2 / launch.unitColumns));
        int panels = ceil(units, panelUnits);
        int rest = launch.fixedBytes
                + 2 * (panelUnits * launch.unitColumns + 32)
                + (panels > 1 ? Float.BYTES * launch.tileRows * tilesPerBlock : 0);
        int perSlot = launch.warps * launch.unitBytes + 64;
        int slots = (device.sharedBytesPerMultiprocessor() / 2 - 1024 - rest) / perSlot;
        if (slots < 2) {
            slots = (device.sharedBytesPerBlock() - rest) / perSlot;
        }
        slots = Math.min(slots, ceil(tilesPerBlock * units, launch.warps));
        kernels.kernel(names.one(), names.oneName() + (single ? "_single" : ""), constants)
                .launch(
                        stream,
                        Kernel.Grid.of(ceil(matrix.tiles(), tilesPerBlock)),
                        launch.threads,
                        rest + slots * perSlot,
                        out,
                        matrix.address(),
                        x,
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
