package nibble.engine.forward;

import java.util.Arrays;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.engine.backend.Backend;
import nibble.engine.backend.LayerOperations;
import nibble.engine.tensor.Matrix;

/**
 * Gives what a program reads that multiplies by the halves of kv_b_proj elsewhere than this engine does: queries by
 * what makes keys, and what attention makes of the narrow vectors by what makes values. Valid during a layer.
 */
public final class AbsorbedInputs {
    /** Computes attention with other values, [rows, heads * head_dim] both. */
    @FunctionalInterface
    interface Attention {
        void of(Matrix values, Matrix attended);
    }

    private final Backend backend;
    private final LatentAttention latent;
    private final int heads;
    private final Matrix query;
    private final Matrix keyValueLatent;
    private final Attention attention;

    AbsorbedInputs(
            Backend backend,
            LatentAttention latent,
            int heads,
            Matrix query,
            Matrix keyValueLatent,
            Attention attention) {
        this.backend = backend;
        this.latent = latent;
        this.heads = heads;
        this.query = query;
        this.keyValueLatent = keyValueLatent;
        this.attention = attention;
    }

    /** Returns how many tokens there are. */
    public int rows() {
        return query.rows();
    }

    /** Returns the parts of queries that do not turn, [rows, heads, plain]. */
    public float[] queries() {
        return parts(backend.download(query), latent.turned(), latent.plain(), 0, new float[0], latent.plain());
    }

    /** Returns the narrow vectors as each head's attention mixes them, [rows, heads, rank]. */
    public float[] attended() {
        int width = latent.headDim();
        float[] all = new float[rows() * heads * latent.rank()];
        try (Matrix values = backend.allocate(rows(), heads * width);
                Matrix mixed = backend.allocate(rows(), heads * width)) {
            for (int first = 0; first < latent.rank(); first += width) {
                int from = first;
                int count = Math.min(width, latent.rank() - first);
                int[] columns = new int[heads * width];
                Arrays.setAll(columns, i -> i % width < count ? from + i % width : LayerOperations.ZERO);
                backend.gatherColumns(keyValueLatent, columns, values);
                attention.of(values, mixed);
                parts(backend.download(mixed), 0, count, first, all, latent.rank());
            }
        }
        return all;
    }

    /** Copies some columns of each head of each row. */
    private float[] parts(float[] from, int first, int count, int at, float[] into, int width) {
        float[] to = into.length == 0 ? new float[rows() * heads * width] : into;
        for (int head = 0; head < rows() * heads; head++) {
            System.arraycopy(from, head * latent.headDim() + first, to, head * width + at, count);
        }
        return to;
    }
}
