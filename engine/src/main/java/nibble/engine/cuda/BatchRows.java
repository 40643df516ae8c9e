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
 * Products of some rows of activations with quantized weights on the tensor cores, by {@code w4_batch.cu} and {@code
 * block_batch.cu}: the weights are read once for up to 64 or 128 rows and decoded in registers. More rows go in turns.
 * One row by a whole matrix is left to {@link OneRow}, unless the product is fp32 or added to what is there. The files
 * export what their launch depends on. Owns the memory through which blocks add up their sums.
 *
 * <p>4-bit codes on a card with {@code wgmma} take rows as {@code arranged.cuh} says: the kernel that makes the rows
 * arranges them, or a kernel here.
 *
 * <p>The result of a row depends neither on the other rows nor on how many they are, up to 64 of them.
 */
final class BatchRows implements AutoCloseable {
    /** Steps of a block, of two tiles a warp, below which a warp has one: measured on an H100. */
    private static final int LEAST_STEPS = 10;

    /** Rows of one launch, of which a row has the same bits in each. */
    static final int MOST = 64;
    /** Rows of one launch, where more than that many are arranged. */
    private static final int MOST_ARRANGED = 128;
    /** Rows below which a kernel's own warps bring them faster: measured on an H100. */
    private static final int LEAST_ARRANGED = 17;

    private static final int LEAST_ARRANGED_LARGE = 9;
    /** Most rows that reading weights as they are is faster for than expanding them first: measured on an H100. */
    private static final int MOST_FUSED = 192;

    private static final int MOST_FUSED_ARRANGED = 256;
    private static final int MOST_FUSED_LARGE = 1024;
    /** Steps of a matrix, of two tiles a warp, from which it is large. */
    private static final int LARGE_STEPS = 2048;
    /** Parts of a fused matrix that a launch can store. */
    static final int MOST_PARTS = 3;

    /** Numbers of rows that kernels are compiled for. */
    private static final int[] CLASSES = {8, 16, 32, MOST, MOST_ARRANGED};
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

    private static final int ARRANGERS = 128;

    /**
     * What {@code w4_batch_launch} or {@code block_batch_launch} says.
     *
     * @param rows most of a launch, and those that x is arranged for
     */
    private record Launch(
            Map<String, Integer> constants,
            int rows,
            int threads,
            int slotBytes,
            int chunkTiles,
            boolean arranged,
            int slots) {}

    private record Key(Map<String, Integer> constants, int rows, int warpTiles, boolean arranged) {}

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
        long chunk = (long) Float.BYTES * MOST_ARRANGED * MOST_CHUNK_TILES * TiledMatrix.TILE_ROWS;
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

    /** Returns whether reading a matrix as it is is faster for so many rows than expanding it first. */
    boolean isFaster(TiledMatrix matrix, int rows) {
        int most = !arranges(matrix) ? MOST_FUSED : isLarge(matrix) ? MOST_FUSED_LARGE : MOST_FUSED_ARRANGED;
        return rows <= most;
    }

    private static boolean isLarge(TiledMatrix matrix) {
        return steps(matrix, MOST_CHUNK_TILES) >= LARGE_STEPS;
    }

    /** Returns the rows that x is arranged for in a product of up to 64 rows, 0 where x is row-major. */
    int arrangement(TiledMatrix matrix, int rows) {
        return rows <= MOST && arranges(matrix, rows) ? classOf(rows) : 0;
    }

    /** Returns the number of rows that a kernel is compiled for, for up to so many rows of a launch. */
    static int classOf(int rows) {
        int i = 0;
        while (i < CLASSES.length - 1 && CLASSES[i] < rows) {
            i++;
        }
        return CLASSES[i];
    }

    /** Whether rows of a product are arranged. */
    private boolean arranges(TiledMatrix matrix, int rows) {
        return rows >= (isLarge(matrix) ? LEAST_ARRANGED_LARGE : LEAST_ARRANGED) && arranges(matrix);
    }

    /** Whether those of more than a few are. */
    private boolean arranges(TiledMatrix matrix) {
        return device.hasWarpgroups()
                && matrix.kernels().arranges()
                && matrix.inFeatures() % TiledMatrix.UNIT_COLUMNS == 0;
    }

    /**
     * {@code out (+)= x wᵀ} for parts of one matrix.
     *
     * @param x any number of rows
     */
    void multiply(CudaMatrix x, List<CudaWeight.Tiled> parts, List<CudaMatrix> outs, boolean accumulate) {
        TiledMatrix matrix = parts.getFirst().matrix();
        int turn = arranges(matrix) && x.rows() > MOST ? MOST_ARRANGED : MOST;
        for (int first = 0; first < x.rows(); first += turn) {
            int rows = Math.min(turn, x.rows() - first);
            Launch launch = launch(matrix, rows);
            if (!launch.arranged) {
                for (int i = 0; i < rows; i += launch.rows) {
                    Rows some = new Rows(x.address(first + i), first + i, Math.min(launch.rows, rows - i));
                    launch(launch, some, parts, outs, accumulate);
                }
                continue;
            }
            try (DeviceMemory.Buffer image =
                    memory.allocate(2L * launch.rows * matrix.inFeatures(), "rows of a product")) {
                arrange(x.address(first), rows, matrix.inFeatures(), image.address(), launch.rows);
                launch(launch, new Rows(image.address(), first, rows), parts, outs, accumulate);
            }
        }
    }

    /**
     * Does what {@link #multiply} does, with rows that are arranged as {@link #arrangement} says.
     *
     * @param x has the rows' number; its buffer has room for the class of that number
     */
    void multiplyArranged(CudaMatrix x, List<CudaWeight.Tiled> parts, List<CudaMatrix> outs, boolean accumulate) {
        Launch launch = launch(parts.getFirst().matrix(), x.rows());
        launch(launch, new Rows(x.address(), 0, x.rows()), parts, outs, accumulate);
    }

    private void arrange(long x, int rows, int columns, long image, int arranged) {
        kernels.kernel("elementwise.cu", "arrange_rows", Map.of())
                .launch(
                        stream,
                        new Kernel.Grid(ceil(columns / 8, ARRANGERS), rows, 1),
                        ARRANGERS,
                        0,
                        x,
                        columns,
                        image,
                        arranged);
    }

    /**
     * Rows of x and out.
     *
     * @param x address of the first, or of what they are arranged to
     * @param first in out
     */
    private record Rows(long x, int first, int count) {}

    private void launch(
            Launch launch, Rows rows, List<CudaWeight.Tiled> parts, List<CudaMatrix> outs, boolean accumulate) {
        TiledMatrix matrix = parts.getFirst().matrix();
        long[] addresses = new long[MOST_PARTS];
        int[] columns = new int[MOST_PARTS];
        int[] offsets = new int[MOST_PARTS];
        for (int i = 0; i < parts.size(); i++) {
            addresses[i] = outs.get(i).address(rows.first);
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
                        rows.x,
                        sums.address() + Integer.BYTES * (long) TICKETS,
                        sums.address(),
                        matrix.inFeatures(),
                        matrix.tiles(),
                        rows.count,
                        launch.slots);
    }

    /** Returns the code that products of up to {@code rows} rows with a matrix run, by the classes of their numbers. */
    List<KernelCache.Code> codes(TiledMatrix matrix, int rows) {
        List<KernelCache.Code> codes = new ArrayList<>();
        int i = 0;
        do {
            codes.add(new KernelCache.Code(matrix.kernels().several(), constants(matrix, CLASSES[i])));
        } while (CLASSES[i++] < rows && CLASSES[i] <= MOST);
        return codes;
    }

    private Map<String, Integer> constants(TiledMatrix matrix, int rows) {
        Map<String, Integer> constants = new HashMap<>(matrix.constants());
        constants.put("ROWS", rows);
        constants.put("WARP_TILES", warpTiles(matrix, rows));
        if (arranges(matrix, rows)) {
            constants.put("ARRANGED", 1);
        }
        return constants;
    }

    private Launch launch(TiledMatrix matrix, int rows) {
        Key key = new Key(
                matrix.constants(), classOf(rows), warpTiles(matrix, classOf(rows)), arranges(matrix, classOf(rows)));
        return launches.computeIfAbsent(key, _ -> make(matrix, rows));
    }

    /** The kernel for this many rows, or for fewer where a card has not the shared memory for two slots of a ring. */
    private Launch make(TiledMatrix matrix, int rows) {
        int i = 0;
        while (CLASSES[i] < classOf(rows)) {
            i++;
        }
        while (true) {
            Map<String, Integer> constants = constants(matrix, CLASSES[i]);
            int[] exported = exported(matrix, constants);
            int slots = slots(exported);
            if (slots >= 2 || i == 0) {
                slots = Math.clamp(slots, 1, MOST_SLOTS);
                return new Launch(
                        constants, CLASSES[i], exported[0], exported[1], exported[2], exported[3] != 0, slots);
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
     * Small chunks for small matrices: fewer blocks then share a chunk, but each step brings as much of x. Up to 64
     * rows that are arranged come fast enough for small chunks of any matrix. Small ones also where a card has not the
     * shared memory for two large steps of blocks of GGUF.
     */
    private int warpTiles(TiledMatrix matrix, int rows) {
        return arranges(matrix) && rows <= MOST
                        || steps(matrix, MOST_CHUNK_TILES) < (long) LEAST_STEPS * device.multiprocessors()
                        || 2L * MOST_CHUNK_TILES * matrix.unitBytes() + SLACK > device.sharedBytesPerBlock()
                ? 1
                : 2;
    }

    private static long steps(TiledMatrix matrix, int chunkTiles) {
        return (long) ceil(matrix.tiles(), chunkTiles) * matrix.units();
    }

    /**
     * One a multiprocessor; somewhat fewer where each block then has an equal part of one chunk, so that it adds up
     * sums once.
     */
    private int blocks(TiledMatrix matrix, int chunkTiles) {
        long steps = steps(matrix, chunkTiles);
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
