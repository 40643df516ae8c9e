package nibble.engine.cuda;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.engine.cuda.data.BlockMatrix;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.TiledMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;

/**
 * Products of a few rows of activations with a whole matrix of quantized weights, which are read once and never
 * expanded. {@code w4_linear.cu} takes one row by 4-bit weights; {@link BatchRows} has all others of them. {@code
 * block_linear.cu} takes 1 to 8 rows by GGUF's blocks. More rows go in turns of 8, so that weights are read once a
 * turn. The files export what their launch depends on.
 */
final class FewRows {
    private static final int MOST = 8;
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

    FewRows(KernelCache kernels, CudaDevice device) {
        this.kernels = kernels;
        this.device = device;
    }

    /** Whether there is a kernel with fp32 out. */
    static boolean single(TiledMatrix matrix) {
        return matrix instanceof BlockMatrix;
    }

    /**
     * {@code out = x wᵀ}, of as many columns as the whole matrix has rows.
     *
     * @param single fp32 out instead of fp16, where {@link #single(TiledMatrix)}
     */
    void multiply(CudaStream stream, CudaMatrix x, TiledMatrix matrix, long out, boolean single) {
        long outBytes = (long) matrix.rows() * (single ? Float.BYTES : Short.BYTES);
        for (int row = 0; row < x.rows(); row += MOST) {
            multiply(stream, x.address(row), Math.min(MOST, x.rows() - row), matrix, out + row * outBytes, single);
        }
    }

    /** Returns the code of products of each of these numbers of rows with a matrix. */
    static List<KernelCache.Code> codes(TiledMatrix matrix, int... rows) {
        List<KernelCache.Code> codes = new ArrayList<>();
        for (int count : rows) {
            codes.add(new KernelCache.Code(matrix.kernels().few(), constants(matrix, Math.min(MOST, count))));
        }
        return codes;
    }

    private static Map<String, Integer> constants(TiledMatrix matrix, int rows) {
        Map<String, Integer> constants = new HashMap<>(matrix.constants());
        constants.put("ROWS", rows);
        return constants;
    }

    private void multiply(CudaStream stream, long x, int rows, TiledMatrix matrix, long out, boolean single) {
        TiledMatrix.Kernels names = matrix.kernels();
        Map<String, Integer> constants = constants(matrix, rows);
        Launch launch = launches.computeIfAbsent(
                constants, _ -> Launch.of(kernels.integers(names.few(), names.fewName() + "_launch", constants)));
        int units = matrix.units();
        int tilesPerBlock = ceil(matrix.tiles(), device.multiprocessors());
        int panelUnits = Math.min(units, Math.max(1, PANEL_BYTES / (2 * rows) / launch.unitColumns));
        int panels = ceil(units, panelUnits);
        int rest = launch.fixedBytes
                + 2 * rows * (panelUnits * launch.unitColumns + 32)
                + (panels > 1 ? Float.BYTES * launch.tileRows * rows * tilesPerBlock : 0);
        int perSlot = launch.warps * launch.unitBytes + 64;
        int slots = (device.sharedBytesPerMultiprocessor() / 2 - 1024 - rest) / perSlot;
        if (slots < 2) {
            slots = (device.sharedBytesPerBlock() - rest) / perSlot;
        }
        slots = Math.min(slots, ceil(tilesPerBlock * units, launch.warps));
        kernels.kernel(names.few(), names.fewName() + (single ? "_single" : ""), constants)
                .launch(
                        stream,
                        Kernel.Grid.of(ceil(matrix.tiles(), tilesPerBlock)),
                        launch.threads,
                        rest + slots * perSlot,
                        out,
                        matrix.address(),
                        x,
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
