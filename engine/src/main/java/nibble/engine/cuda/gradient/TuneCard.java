package nibble.engine.cuda.gradient;

import static jcuda.driver.JCudaDriver.cuMemsetD32Async;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Floats;
import nibble.engine.cuda.driver.Into;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.Precision;
import nibble.engine.tensor.Matrix;

/** Offers what backward passes use of a card: the kernels of the files {@code tune_….cu}, and products. Borrows it. */
final class TuneCard {
    private static final int THREADS = 256;
    private static final int WARPS = THREADS / 32;
    /** Blocks that a launch may have beside each other in its second dimension. */
    static final int MOST_ROWS = 65535;

    final CudaResources card;

    TuneCard(CudaResources card) {
        this.card = card;
    }

    /** Returns an fp32 matrix of this card as what it is. */
    CudaMatrix single(Matrix matrix) {
        return CudaMatrix.of(card, matrix, true);
    }

    DeviceMemory.Buffer allocate(long bytes, String purpose) {
        return card.memory().allocate(bytes, purpose);
    }

    DeviceMemory.Buffer floats(long count, String purpose) {
        return allocate(Float.BYTES * count, purpose);
    }

    DeviceMemory.Buffer zeros(long count, String purpose) {
        DeviceMemory.Buffer buffer = floats(count, purpose);
        CudaDevice.check(cuMemsetD32Async(buffer.pointer(0), 0, count, card.stream().stream()), "zeros");
        return buffer;
    }

    void bring(float[] values, DeviceMemory.Buffer to, long first) {
        card.transfers().bring(MemorySegment.ofArray(values), to, Float.BYTES * first);
    }

    float[] fetch(DeviceMemory.Buffer from, long first, int count) {
        float[] values = new float[count];
        card.transfers().fetch(from, Float.BYTES * first, MemorySegment.ofArray(values));
        return values;
    }

    /** Copies from an address of another card, or of this one, in the order of this card's work. */
    void copy(TuneCard from, long source, long target, long bytes) {
        card.device().copyFrom(from.card.device(), source, target, bytes, card.stream());
    }

    /** Multiplies with the bits that tensor cores use of fp32, and fp32 sums. */
    void product(Into into, int m, int n, int k, Floats a, Floats b, Floats out) {
        products(into, 1, m, n, k, a, b, out);
    }

    void products(Into into, int batch, int m, int n, int k, Floats a, Floats b, Floats out) {
        card.cublas().single(Precision.TENSOR, into, batch, m, n, k, a, b, out);
    }

    /** Launches a thread for each of n elements. */
    void each(String file, String kernel, long n, Object... arguments) {
        run(file, kernel, Kernel.Grid.of((n + THREADS - 1) / THREADS), arguments);
    }

    /** Launches a thread for each element of [rows, columns]. */
    void elements(String file, String kernel, int rows, int columns, Object... arguments) {
        // Rows beyond the most of one dimension go into the third.
        int layers = (rows + MOST_ROWS - 1) / MOST_ROWS;
        int perLayer = layers == 0 ? 0 : (rows + layers - 1) / layers;
        run(file, kernel, new Kernel.Grid((columns + THREADS - 1) / THREADS, perLayer, layers), arguments);
    }

    /** Launches a block of threads for each row. */
    void rows(String file, String kernel, int rows, Object... arguments) {
        run(file, kernel, Kernel.Grid.of(rows), arguments);
    }

    /** Launches a block of threads for each cell of [y, x]. */
    void blocks(String file, String kernel, int x, int y, Object... arguments) {
        run(file, kernel, new Kernel.Grid(x, y, 1), arguments);
    }

    /** Launches a warp for each group of each row. */
    void groups(String file, String kernel, int rows, int groups, Object... arguments) {
        run(file, kernel, new Kernel.Grid((groups + WARPS - 1) / WARPS, rows, 1), arguments);
    }

    private void run(String file, String kernel, Kernel.Grid grid, Object... arguments) {
        card.kernels().kernel(file, kernel, Map.of()).launch(card.stream(), grid, THREADS, 0, arguments);
    }
}
