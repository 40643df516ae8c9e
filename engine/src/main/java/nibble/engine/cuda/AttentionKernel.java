package nibble.engine.cuda;

import java.util.HashMap;
import java.util.Map;
import nibble.engine.backend.AttentionShape;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;

/** Launches {@code attention.cu}, which itself says how: tiles depend on head size and architecture. */
final class AttentionKernel {
    private static final String FILE = "attention.cu";

    private record Tiling(int threads, int queries, int sharedBytes) {}

    private final KernelCache kernels;
    private final Map<Map<String, Integer>, Tiling> tilings = new HashMap<>();

    AttentionKernel(KernelCache kernels) {
        this.kernels = kernels;
    }

    /** Sequences of equal length that lie one after another in each of the matrices. */
    void run(
            CudaStream stream,
            AttentionShape shape,
            int sequences,
            CudaMatrix query,
            int firstPosition,
            CudaMatrix keys,
            CudaMatrix values,
            CudaMatrix out) {
        launch(
                stream,
                shape,
                sequences,
                new Rows(query, 0, query.rows() / sequences, out),
                firstPosition,
                new KeyRows(keys, values, 0, keys.rows() / sequences));
    }

    /** Query rows of a sequence, and where their results go. */
    record Rows(CudaMatrix query, int first, int count, CudaMatrix out) {}

    /** Keys and values from a row on. */
    record KeyRows(CudaMatrix keys, CudaMatrix values, int first, int rowsPerSequence) {}

    void launch(CudaStream stream, AttentionShape shape, int sequences, Rows rows, int firstPosition, KeyRows seen) {
        requireHeadSize(shape);
        // A window that hides none of these keys is none: most sequences are shorter than their model's.
        Map<String, Integer> constants = shape.firstSeen(firstPosition + rows.count() - 1) == 0
                ? Map.of("HEAD_DIM", shape.headDim())
                : Map.of("HEAD_DIM", shape.headDim(), "SLIDING_WINDOW", shape.window());
        Tiling tiling = tilings.computeIfAbsent(constants, _ -> {
            int[] launch = kernels.integers(FILE, "attention_launch", constants);
            return new Tiling(launch[0], launch[1], launch[2]);
        });
        kernels.kernel(FILE, "attention", constants)
                .launch(
                        stream,
                        new Kernel.Grid(
                                shape.heads(), (rows.count() + tiling.queries() - 1) / tiling.queries(), sequences),
                        tiling.threads(),
                        tiling.sharedBytes(),
                        rows.query().address(rows.first()),
                        (long) rows.query().columns(),
                        seen.keys().address(seen.first()),
                        seen.values().address(seen.first()),
                        (long) seen.keys().columns(),
                        rows.out().address(rows.first()),
                        (long) rows.out().columns(),
                        shape.heads(),
                        shape.kvHeads(),
                        rows.count(),
                        firstPosition,
                        (long) rows.count(),
                        (long) seen.rowsPerSequence());
    }

    static void requireHeadSize(AttentionShape shape) {
        if (shape.headDim() % 8 != 0 || shape.headDim() > 256) {
            throw new IllegalArgumentException("attention with heads of " + shape.headDim()
                    + " values: CUDA needs a multiple of 8 up to 256; use --device cpu");
        }
    }
}
