package nibble.engine.cuda;

import java.util.HashMap;
import java.util.Map;
import nibble.engine.AttentionShape;

/** Launches {@code attention.cu}, which itself says how: tiles depend on head size and architecture. */
final class AttentionKernel {
    private static final String FILE = "attention.cu";

    private record Tiling(int threads, int queries, int sharedBytes) {}

    private final KernelCache kernels;
    private final Map<Map<String, Integer>, Tiling> tilings = new HashMap<>();

    AttentionKernel(KernelCache kernels) {
        this.kernels = kernels;
    }

    void run(
            CudaStream stream,
            AttentionShape shape,
            int sequences,
            CudaMatrix query,
            int firstPosition,
            CudaMatrix keys,
            CudaMatrix values,
            CudaMatrix out) {
        requireHeadSize(shape);
        // A window that hides none of these keys is none: most sequences are shorter than their model's.
        Map<String, Integer> constants = shape.firstSeen(firstPosition + query.rows() / sequences - 1) == 0
                ? Map.of("HEAD_DIM", shape.headDim())
                : Map.of("HEAD_DIM", shape.headDim(), "SLIDING_WINDOW", shape.window());
        Tiling tiling = tilings.computeIfAbsent(constants, _ -> {
            int[] launch = kernels.integers(FILE, "attention_launch", constants);
            return new Tiling(launch[0], launch[1], launch[2]);
        });
        int queries = query.rows() / sequences;
        kernels.kernel(FILE, "attention", constants)
                .launch(
                        stream,
                        new Kernel.Grid(
                                shape.heads(), (queries + tiling.queries() - 1) / tiling.queries(), sequences),
                        tiling.threads(),
                        tiling.sharedBytes(),
                        query.address(),
                        (long) query.columns(),
                        keys.address(),
                        values.address(),
                        (long) keys.columns(),
                        out.address(),
                        (long) out.columns(),
                        shape.heads(),
                        shape.kvHeads(),
                        queries,
                        firstPosition,
                        (long) queries,
                        (long) keys.rows() / sequences);
    }

    static void requireHeadSize(AttentionShape shape) {
        if (shape.headDim() % 8 != 0 || shape.headDim() > 256) {
            throw new IllegalArgumentException("attention with heads of " + shape.headDim()
                    + " values: CUDA needs a multiple of 8 up to 256; use --device cpu");
        }
    }
}
