package nibble.engine.cuda;

import static jcuda.driver.JCudaDriver.cuMemsetD32Async;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.TiledMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;

/**
 * Products of 1 to 64 rows of activations with quantized weights on the tensor cores, by {@code w4_batch.cu} and {@code
 * block_batch.cu}: the weights are read once and decoded in registers. More rows go in turns of 64. One row by a whole
 * matrix is left to {@link OneRow}, unless the product is fp32 or added to what is there. The files export what their
 * launch depends on. Owns the memory through which blocks add up their sums.
 *
 * <p>The result of a row depends neither on the other rows nor on how many they are.
 */
final class BatchRows implements AutoCloseable {
    /** Steps of a block, of two tiles a warp, below which a warp has one: measured on an H100. */
    private static final int LEAST_STEPS = 10;

    /** Rows of one launch. */
    static final int MOST = 64;
    /** Parts of a fused matrix that a launch can store. */
    static final int MOST_PARTS = 3;

    /** Numbers of rows that kernels are compiled for. */
    private static final int[] CLASSES = {8, 16, 32, MOST};
    /** Tiles of a chunk in {@code batch_linear.cuh}, by one or two tiles a warp. */
    private static final int LEAST_CHUNK_TILES = 8;

    private static final int MOST_CHUNK_TILES = 16;
    /** Chunks that there are tickets for: those of a million rows in the smallest chunks. */
    private static final int TICKETS = 8192;
    /** Shared memory that a kernel has beside the ring, and what it takes to align the ring. */
    private static final int OTHER_SHARED_BYTES = 256;

    private static final int ALIGNMENT = 1024;

    private static final int BARRIER_BYTES = 16;
    /** What two steps have beside weights: eight rows of activations each, and what rounds them up. */
    private static final int SLACK = 2 * (8 * 576 + 1024) + 2048;

    private static final int MOST_SLOTS = 8;

    /**
     * What {@code w4_batch_launch} or {@code block_batch_launch} says.
     *
     * @param rows most of a launch
     */
    private record Launch(
            Map<String, Integer> constants, int rows, int threads, int slotBytes, int chunkTiles, int slots) {}

    private record Key(Map<String, Integer> constants, int rows, int warpTiles) {}

    private final Map<Key, Launch> launches = new HashMap<>();
    private final CudaDevice device;
    private final DeviceMemory memory;
    private final KernelCache kernels;
    private final CudaStream stream;
    /** Tickets, then partial sums of two chunks for each block. */
    private final DeviceMemory.Buffer sums;

    /** @param stream that all products go into, one after another */
    BatchRows(CudaDevice device, DeviceMemory memory, KernelCache kernels, CudaStream stream) {
        this.device = device;
        this.memory = memory;
        this.kernels = kernels;
        this.stream = stream;
        long chunk = (long) Float.BYTES * MOST * MOST_CHUNK_TILES * TiledMatrix.TILE_ROWS;
        this.sums = memory.allocate(
                Integer.BYTES * (long) TICKETS + 2 * chunk * device.multiprocessors(), "sums of products");
        CudaDevice.check(cuMemsetD32Async(sums.pointer(0), 0, TICKETS, stream.stream()), "zeros");
    }

    /** Whether one launch can compute these parts: with outputs of one precision. */
    boolean takes(List<CudaWeight.Tiled> parts, List<CudaMatrix> outs) {
        boolean single = outs.getFirst().single();
        return parts.size() <= MOST_PARTS
                && outs.stream().allMatch(out -> out.single() == single)
                && ceil(parts.getFirst().matrix().tiles(), LEAST_CHUNK_TILES) <= TICKETS;
    }

    /**
     * {@code out (+)= x wᵀ} for parts of one matrix.
     *
     * @param x any number of rows
     */
    void multiply(CudaMatrix x, List<CudaWeight.Tiled> parts, List<CudaMatrix> outs, boolean accumulate) {
        for (int first = 0; first < x.rows(); first += MOST) {
            multiply(x, first, Math.min(MOST, x.rows() - first), parts, outs, accumulate);
        }
    }

    private void multiply(
            CudaMatrix x,
            int firstRow,
            int rows,
            List<CudaWeight.Tiled> parts,
            List<CudaMatrix> outs,
            boolean accumulate) {
        TiledMatrix matrix = parts.getFirst().matrix();
        int warpTiles = warpTiles(matrix);
        Launch launch = launches.computeIfAbsent(
                new Key(matrix.constants(), rows, warpTiles), _ -> launch(matrix, rows, warpTiles));
        if (rows > launch.rows) {
            for (int i = 0; i < rows; i += launch.rows) {
                multiply(x, firstRow + i, Math.min(launch.rows, rows - i), parts, outs, accumulate);
            }
            return;
        }
        long[] addresses = new long[MOST_PARTS];
        int[] columns = new int[MOST_PARTS];
        int[] offsets = new int[MOST_PARTS];
        for (int i = 0; i < parts.size(); i++) {
            addresses[i] = outs.get(i).address(firstRow);
            columns[i] = parts.get(i).outFeatures();
            offsets[i] = parts.get(i).offset();
        }
        kernels.kernel(matrix.kernels().several(), matrix.kernels().severalName(), launch.constants)
                .launch(
                        stream,
                        Kernel.Grid.of(blocks(matrix, launch.chunkTiles)),
                        launch.threads,
                        ALIGNMENT + launch.slots * (launch.slotBytes + BARRIER_BYTES),
                        addresses[0],
                        addresses[1],
                        addresses[2],
                        columns[0],
                        columns[1],
                        columns[2],
                        offsets[0],
                        offsets[1],
                        offsets[2],
                        parts.getFirst().spread(),
                        outs.getFirst().single() ? 1 : 0,
                        accumulate ? 1 : 0,
                        matrix.address(),
                        x.address(firstRow),
                        sums.address() + Integer.BYTES * (long) TICKETS,
                        sums.address(),
                        matrix.inFeatures(),
                        matrix.tiles(),
                        rows,
                        launch.slots);
    }

    /** Returns the code that products of up to {@code rows} rows with a matrix run, by the classes of their numbers. */
    List<KernelCache.Code> codes(TiledMatrix matrix, int rows) {
        List<KernelCache.Code> codes = new ArrayList<>();
        int i = 0;
        do {
            codes.add(
                    new KernelCache.Code(matrix.kernels().several(), constants(matrix, CLASSES[i], warpTiles(matrix))));
        } while (CLASSES[i++] < rows && i < CLASSES.length);
        return codes;
    }

    private static Map<String, Integer> constants(TiledMatrix matrix, int rows, int warpTiles) {
        Map<String, Integer> constants = new HashMap<>(matrix.constants());
        constants.put("ROWS", rows);
        constants.put("WARP_TILES", warpTiles);
        return constants;
    }

    /** The kernel for this many rows, or for fewer where a card has not the shared memory for two slots of a ring. */
    private Launch launch(TiledMatrix matrix, int rows, int warpTiles) {
        int i = 0;
        while (i < CLASSES.length - 1 && CLASSES[i] < rows) {
            i++;
        }
        while (true) {
            Map<String, Integer> constants = constants(matrix, CLASSES[i], warpTiles);
            int[] exported = exported(matrix, constants);
            int slots = slots(exported);
            if (slots >= 2 || i == 0) {
                slots = Math.clamp(slots, 1, MOST_SLOTS);
                return new Launch(constants, CLASSES[i], exported[0], exported[1], exported[2], slots);
            }
            i--;
        }
    }

    private int[] exported(TiledMatrix matrix, Map<String, Integer> constants) {
        return kernels.integers(matrix.kernels().several(), matrix.kernels().severalName() + "_launch", constants);
    }

    private int slots(int[] exported) {
        return (device.sharedBytesPerBlock() - OTHER_SHARED_BYTES - ALIGNMENT) / (exported[1] + BARRIER_BYTES);
    }

    /**
     * Small chunks for small matrices: fewer blocks then share a chunk, but each step brings as much of x. Also where a
     * card has not the shared memory for two large steps of blocks of GGUF.
     */
    private int warpTiles(TiledMatrix matrix) {
        long steps = (long) ceil(matrix.tiles(), MOST_CHUNK_TILES) * matrix.units();
        return steps < LEAST_STEPS * device.multiprocessors()
                        || 2L * MOST_CHUNK_TILES * matrix.unitBytes() + SLACK > device.sharedBytesPerBlock()
                ? 1
                : 2;
    }

    /**
     * One a multiprocessor; somewhat fewer where each block then has an equal part of one chunk, so that it adds up
     * sums once.
     */
    private int blocks(TiledMatrix matrix, int chunkTiles) {
        long steps = (long) ceil(matrix.tiles(), chunkTiles) * matrix.units();
        int most = (int) Math.min(device.multiprocessors(), steps);
        int each = (int) ((steps + most - 1) / most);
        int equal = (int) (steps / each);
        return matrix.units() % each == 0 && 10 * equal >= 9 * most ? equal : most;
    }

    private static int ceil(int a, int b) {
        return (a + b - 1) / b;
    }

    @Override
    public void close() {
        sums.close();
    }
}
