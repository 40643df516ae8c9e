package nibble.engine.cuda.attention;

import java.util.HashMap;
import java.util.Map;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.Extents;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.KeptVectors;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.tensor.Matrix;

/** Puts {@code attention.cu} into the stream, which itself says how: tiles depend on head size and architecture. */
public final class AttentionKernel {
    private static final String FILE = "attention.cu";

    private record Tiling(int threads, int queries, int sharedBytes) {}

    private final CudaResources card;
    private final KeptVectors vectors;
    private final Map<Map<String, Integer>, Tiling> tilings = new HashMap<>();

    /** Makes launches on a card, with sinks as it keeps vectors. */
    public AttentionKernel(CudaResources card, KeptVectors vectors) {
        this.card = card;
        this.vectors = vectors;
    }

    /** Query rows of a sequence, and where their results go. */
    private record Rows(CudaMatrix query, int first, int count, CudaMatrix out) {}

    /** Keys and values from a row on. */
    private record KeyRows(CudaMatrix keys, CudaMatrix values, int first, int rowsPerSequence) {}

    /** Computes attention in sequences of equal length that lie one after another in each of the matrices. */
    public void run(
            AttentionShape shape,
            int sequences,
            Matrix query,
            int firstPosition,
            Matrix keys,
            Matrix values,
            Matrix out) {
        Extents.attention(shape, sequences, query, firstPosition, keys, values, out);
        launch(
                shape,
                sequences,
                new Rows(activations(query), 0, query.rows() / sequences, activations(out)),
                firstPosition,
                new KeyRows(activations(keys), activations(values), 0, keys.rows() / sequences));
    }

    /** Computes attention for a part of the rows of one longer sequence. */
    public void run(AttentionShape shape, SequencePart part, Matrix query, Matrix keys, Matrix values, Matrix out) {
        Extents.attention(shape, part, query, keys, values, out);
        launch(
                shape,
                1,
                new Rows(activations(query), part.firstRow(), part.rows(), activations(out)),
                part.firstPosition(),
                new KeyRows(activations(keys), activations(values), part.firstKey(), part.seen()));
    }

    private CudaMatrix activations(Matrix matrix) {
        return CudaMatrix.of(card, matrix, false);
    }

    private void launch(AttentionShape shape, int sequences, Rows rows, int firstPosition, KeyRows seen) {
        requireHeadSize(shape);
        // A window that hides none of these keys is none: most sequences are shorter than their model's.
        boolean hides = shape.firstSeen(firstPosition + rows.count() - 1) > 0;
        Map<String, Integer> constants = constants(shape, hides);
        Tiling tiling = tilings.computeIfAbsent(constants, _ -> {
            int[] launch = card.kernels().integers(FILE, "attention_launch", constants);
            return new Tiling(launch[0], launch[1], launch[2]);
        });
        card.kernels()
                .kernel(FILE, "attention", constants)
                .launch(
                        card.stream(),
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
                        (long) seen.rowsPerSequence(),
                        shape.hasSinks() ? vectors.single(shape.sinks()).address() : 0L);
    }

    /** What the kernel is compiled with; a scale of 1/√head_dim is its own. */
    private static Map<String, Integer> constants(AttentionShape shape, boolean window) {
        Map<String, Integer> constants = new HashMap<>(Map.of("HEAD_DIM", shape.headDim()));
        if (window) {
            constants.put("SLIDING_WINDOW", shape.window());
        }
        if (shape.scale() != (float) (1 / Math.sqrt(shape.headDim()))) {
            constants.put("SCORE_SCALE_BITS", Float.floatToRawIntBits(shape.scale()));
        }
        if (shape.hasSinks()) {
            constants.put("SINKS", 1);
        }
        if (shape.caps()) {
            constants.put("SCORE_CAP_BITS", Float.floatToRawIntBits(shape.cap()));
        }
        return constants;
    }

    /** Checks that the kernels have such heads. */
    public static void requireHeadSize(AttentionShape shape) {
        if (shape.headDim() % 8 != 0 || shape.headDim() > 256) {
            throw new IllegalArgumentException("attention with heads of " + shape.headDim()
                    + " values: CUDA needs a multiple of 8 up to 256; use --device cpu");
        }
    }
}
