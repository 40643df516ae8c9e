package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import nibble.engine.backend.Extents;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.tensor.Matrix;

/** The kernels of {@code experts.cu}: rows on their way to the experts that a router chose, and back. */
final class ExpertKernels {
    private static final int THREADS = 128;

    private final CudaResources card;

    ExpertKernels(CudaResources card) {
        this.card = card;
    }

    /** Copies row {@code rows[i]} of {@code source} into row i of {@code target}. */
    void gather(Matrix source, int[] rows, Matrix target) {
        Extents.require("gatherRows", "target", target, rows.length, source.columns());
        CudaMatrix from = CudaMatrix.of(card, source, false);
        CudaMatrix to = CudaMatrix.of(card, target, false);
        try (DeviceMemory.Buffer list = card.memory().allocate(4L * rows.length, "rows of an expert")) {
            card.transfers().bring(MemorySegment.ofArray(rows), list);
            kernel("gather")
                    .launch(
                            card.stream(),
                            Kernel.Grid.of(rows.length),
                            THREADS,
                            0,
                            from.address(),
                            list.address(),
                            from.columns(),
                            to.address());
        }
    }

    /** Computes {@code into[t] += Σ_j weights[t * k + j] products[places[t * k + j]]}. */
    void mix(Matrix products, int[] places, float[] weights, Matrix into) {
        int k = Extents.mixRows(products, places, weights, into);
        CudaMatrix from = CudaMatrix.of(card, products, false);
        CudaMatrix to = CudaMatrix.of(card, into, false);
        long bytes = 4L * places.length;
        try (DeviceMemory.Buffer list = card.memory().allocate(2 * bytes, "places of experts' products")) {
            card.transfers().bring(MemorySegment.ofArray(places), list);
            card.transfers().bring(MemorySegment.ofArray(weights), list, bytes);
            kernel("mix")
                    .launch(
                            card.stream(),
                            Kernel.Grid.of(to.rows()),
                            THREADS,
                            0,
                            from.address(),
                            list.address(),
                            list.address() + bytes,
                            k,
                            to.columns(),
                            to.address());
        }
    }

    private Kernel kernel(String name) {
        return card.kernels().kernel("experts.cu", name, Map.of());
    }
}
