package nibble.engine.cuda;

import static jcuda.driver.JCudaDriver.cuMemsetD32Async;

import java.util.Map;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.quantize.CudaInputStatistics;
import nibble.engine.cuda.quantize.QuantizationScratch;

/** Measures what a card can do at most: reading its memory, and large fp16 products. */
final class CardSpeed {
    private static final int THREADS = 256;
    private static final int READ_REPEATS = 10;
    private final CudaResources card;

    CardSpeed(CudaResources card) {
        this.card = card;
    }

    /** Bytes a second of a kernel that only reads device memory: what no kernel can exceed. */
    double readBytesPerSecond() {
        long bytes = Math.min(4L << 30, card.memory().available() / 2);
        int blocks = 8 * card.device().multiprocessors();
        double best = 0;
        try (DeviceMemory.Buffer data = card.memory().allocate(bytes, "measuring bandwidth");
                DeviceMemory.Buffer sums = card.memory().allocate(4L * blocks, "measuring bandwidth");
                CudaStream.Event start = new CudaStream.Event();
                CudaStream.Event end = new CudaStream.Event()) {
            CudaDevice.check(
                    cuMemsetD32Async(data.pointer(0), 0x3c003c00, data.bytes() / 4, card.stream().stream()),
                    "filling memory");
            for (int i = 0; i < READ_REPEATS; i++) {
                card.stream().record(start);
                card.kernels()
                        .kernel("bandwidth.cu", "read_all", Map.of())
                        .launch(
                                card.stream(),
                                Kernel.Grid.of(blocks),
                                THREADS,
                                0,
                                data.address(),
                                data.bytes() / 16,
                                sums.address());
                card.stream().record(end);
                end.synchronize();
                best = Math.max(best, data.bytes() / (end.millisecondsSince(start) / 1e3));
            }
        }
        return best;
    }

    /** Floating-point operations a second of large fp16 products, as of the second moments of 8192 features. */
    double productFlopsPerSecond(CudaMatrices matrices, QuantizationScratch scratch) {
        int columns = 8192;
        int rows = CudaBackend.BATCH_TOKENS;
        double flops = 2.0 * rows * columns * columns * CudaCalibration.productShare(columns);
        try (CudaMatrix x = matrices.allocate(rows, columns, false);
                CudaInputStatistics statistics = new CudaInputStatistics(card, scratch, columns)) {
            // A bit pattern that is no run of equal numbers: the power that products draw depends on it.
            CudaDevice.check(
                    cuMemsetD32Async(
                            x.buffer().pointer(0), 0x2e663b1a, 2L * rows * columns / 4, card.stream().stream()),
                    "filling memory");
            statistics.add(x);
            card.synchronize();
            long start = System.nanoTime();
            for (int i = 0; i < READ_REPEATS; i++) {
                statistics.add(x);
            }
            card.synchronize();
            return READ_REPEATS * flops / ((System.nanoTime() - start) / 1e9);
        }
    }
}
