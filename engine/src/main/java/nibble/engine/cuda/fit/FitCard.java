package nibble.engine.cuda.fit;

import static jcuda.driver.JCudaDriver.cuMemsetD32Async;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import nibble.engine.cuda.driver.Cublas;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;

/** What the steps of a fit use of a card: the kernels of {@code fit.cu} and {@code fit_moment.cu}. Borrows the card. */
final class FitCard {
    /** Columns that are rounded, or moved, before the others are told of it. */
    static final int BLOCK = 128;

    private static final int THREADS = 256;
    private static final int BLOCK_THREADS = 512;
    private static final int BLOCK_ROWS = BLOCK_THREADS / 32;
    private static final int WARPS = THREADS / 32;
    private static final int TILE_BYTES = Float.BYTES * BLOCK * BLOCK;

    final CudaResources card;

    FitCard(CudaResources card) {
        this.card = card;
    }

    Cublas products() {
        return card.cublas();
    }

    DeviceMemory.Buffer allocate(long bytes, String purpose) {
        return card.memory().allocate(bytes, purpose);
    }

    /** Device memory with these values. */
    DeviceMemory.Buffer brought(float[] values, String purpose) {
        return brought(MemorySegment.ofArray(values), purpose);
    }

    DeviceMemory.Buffer brought(int[] values, String purpose) {
        return brought(MemorySegment.ofArray(values), purpose);
    }

    private DeviceMemory.Buffer brought(MemorySegment values, String purpose) {
        DeviceMemory.Buffer buffer = allocate(values.byteSize(), purpose);
        card.transfers().bring(values, buffer);
        return buffer;
    }

    void zero(DeviceMemory.Buffer buffer) {
        CudaDevice.check(
                cuMemsetD32Async(buffer.pointer(0), 0, buffer.bytes() / Float.BYTES, card.stream().stream()), "zeros");
    }

    /** A thread for each element of [rows, columns], by a kernel of {@code fit.cu}. */
    void elements(String kernel, int rows, int columns, Object... arguments) {
        run("fit.cu", kernel, new Kernel.Grid((columns + THREADS - 1) / THREADS, rows, 1), arguments);
    }

    /** A warp for each group of each row. */
    void groups(String kernel, int rows, int groups, Object... arguments) {
        run("fit.cu", kernel, new Kernel.Grid((groups + WARPS - 1) / WARPS, rows, 1), arguments);
    }

    /** As {@link #elements} by a kernel of {@code fit_moment.cu}. */
    void momentElements(String kernel, int rows, int columns, Object... arguments) {
        run("fit_moment.cu", kernel, new Kernel.Grid((columns + THREADS - 1) / THREADS, rows, 1), arguments);
    }

    /** A block of threads for each row. */
    void momentRows(String kernel, int rows, Object... arguments) {
        run("fit_moment.cu", kernel, Kernel.Grid.of(rows), arguments);
    }

    void rows(String kernel, int rows, Object... arguments) {
        run("fit.cu", kernel, Kernel.Grid.of(rows), arguments);
    }

    /** A block of threads for each tile of 32 x 32. */
    void momentTiles(String kernel, int n, Object... arguments) {
        int tiles = (n + 31) / 32;
        run("fit_moment.cu", kernel, new Kernel.Grid(tiles, tiles, 1), arguments);
    }

    /** A warp for each row, which walks over a block of columns. */
    void walk(String kernel, int rows, Object... arguments) {
        kernel("fit.cu", kernel)
                .launch(
                        card.stream(),
                        Kernel.Grid.of((rows + BLOCK_ROWS - 1) / BLOCK_ROWS),
                        BLOCK_THREADS,
                        TILE_BYTES,
                        arguments);
    }

    /** Factorizes the diagonal block of a [n, n] at {@code first}; its inverse goes to an address. */
    void factorBlock(long a, int n, int first, int count, long inverse) {
        kernel("fit_moment.cu", "factor_block")
                .launch(
                        card.stream(),
                        Kernel.Grid.of(1),
                        BLOCK_THREADS,
                        Float.BYTES * BLOCK * (BLOCK + 1),
                        a,
                        n,
                        first,
                        count,
                        inverse);
    }

    private void run(String file, String kernel, Kernel.Grid grid, Object... arguments) {
        kernel(file, kernel).launch(card.stream(), grid, THREADS, 0, arguments);
    }

    private Kernel kernel(String file, String name) {
        return card.kernels().kernel(file, name, Map.of());
    }

    /** A kernel of {@code quantize.cu} over {@code length} columns a group, 0 for whole rows. */
    Kernel quantizing(String name, int length) {
        return card.kernels().kernel("quantize.cu", name, Map.of("GROUP", length));
    }
}
