package nibble.engine.forward;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.engine.backend.Backend;
import nibble.engine.backend.LayerOperations;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;

/**
 * Makes queries, keys and values of a layer whose keys and values come from a narrow vector. What comes out has the
 * form of grouped-query attention with as many key/value heads as query heads: heads begin with the values that turn,
 * by halves, and values are filled up with zeros to the width of keys. So attention, its cache and rope stay what they
 * are elsewhere.
 *
 * <pre>
 * [c | t] = kv_a_proj_with_mqa(n)      n = input_layernorm(h)
 * [k | v] = kv_b_proj(kv_a_layernorm(c))      of each head
 * key = [rope(t) | k]     query = [rope(t) | k] of q_proj(n), or of q_b_proj(q_a_layernorm(q_a_proj(n)))
 * </pre>
 *
 * <p>Owns the activations between, for rows of one number.
 */
final class LatentPass implements AutoCloseable {
    private final Backend backend;
    private final LatentAttention latent;
    private final Columns columns;
    private final Matrix query;
    private final Matrix queryLatent;
    private final Matrix compressed;
    private final Matrix keyValueLatent;
    private final Matrix expanded;
    private final Matrix values;
    private final List<Matrix> all = new ArrayList<>();

    /**
     * Says where the values of each matrix come from: arrays that stay the same, so that a device keeps them.
     *
     * @param query of a query row, among those of its linear
     * @param latent of the narrow vector, among those of its linear
     * @param turned of a key row, among the same
     * @param plain of a key row, among those of kv_b_proj
     * @param value of a value row, among the same
     * @param attended of what goes into o_proj, among those of attention
     */
    record Columns(int[] query, int[] latent, int[] turned, int[] plain, int[] value, int[] attended) {
        static Columns of(LatentAttention from, int heads) {
            int width = from.headDim();
            int half = from.turned() / 2;
            int each = from.plain() + from.value();
            int[] latent = new int[from.rank()];
            Arrays.setAll(latent, i -> i);
            int[] turned = new int[heads * width];
            int[] plain = new int[heads * width];
            int[] value = new int[heads * width];
            int[] attended = new int[heads * from.value()];
            for (int head = 0; head < heads; head++) {
                for (int i = 0; i < width; i++) {
                    int at = head * width + i;
                    boolean turns = i < from.turned();
                    turned[at] = turns ? from.rank() + 2 * (i % half) + i / half : LayerOperations.KEPT;
                    plain[at] = turns ? LayerOperations.KEPT : head * each + i - from.turned();
                    value[at] = i < from.value() ? head * each + from.plain() + i : LayerOperations.ZERO;
                }
                for (int i = 0; i < from.value(); i++) {
                    attended[head * from.value() + i] = head * width + i;
                }
            }
            return new Columns(from.queryColumns(heads), latent, turned, plain, value, attended);
        }
    }

    LatentPass(ModelConfig config, Columns columns, Backend backend, int rows) {
        this.backend = backend;
        this.latent = config.latent().orElseThrow();
        this.columns = columns;
        try {
            query = allocate(rows, config.outFeatures(Linear.Q));
            queryLatent = allocate(rows, latent.queryRank());
            compressed = allocate(rows, config.outFeatures(Linear.KV_A));
            keyValueLatent = allocate(rows, latent.rank());
            expanded = allocate(rows, config.outFeatures(Linear.KV_B));
            values = allocate(rows, config.width(LinearInput.O));
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private Matrix allocate(int rows, int width) {
        Matrix matrix = backend.allocate(rows, width);
        all.add(matrix);
        return matrix;
    }

    /**
     * Computes queries, keys and values, not yet rotated.
     *
     * @param normed [rows, hidden]; the other three [rows, heads * head_dim]
     */
    void project(DecoderLayer layer, Matrix normed, Taps taps, Matrix queries, Matrix keys, Matrix heads) {
        narrow(layer, normed);
        if (latent.queryRank() > 0) {
            taps.tap(LinearInput.QUERY_LATENT, Expert.NONE, queryLatent);
            backend.linear(layer.weight(Linear.Q_B), queryLatent, query);
        }
        taps.tap(LinearInput.KEY_VALUE_LATENT, Expert.NONE, keyValueLatent);
        backend.linear(layer.weight(Linear.KV_B), keyValueLatent, expanded);
        backend.gatherColumns(query, columns.query, queries);
        backend.gatherColumns(compressed, columns.turned, keys);
        backend.gatherColumns(expanded, columns.plain, keys);
        backend.gatherColumns(expanded, columns.value, heads);
    }

    /** Computes the narrow vectors, or the one and queries. */
    private void narrow(DecoderLayer layer, Matrix normed) {
        Linear first = latent.queryRank() > 0 ? Linear.Q_A : Linear.Q;
        Matrix out = latent.queryRank() > 0 ? queryLatent : query;
        backend.linears(List.of(layer.weight(first), layer.weight(Linear.KV_A)), normed, List.of(out, compressed));
        addBias(layer, first, out);
        addBias(layer, Linear.KV_A, compressed);
        if (latent.queryRank() > 0) {
            norm(layer, LayerNorm.QUERY_LATENT, queryLatent);
        }
        backend.gatherColumns(compressed, columns.latent, keyValueLatent);
        norm(layer, LayerNorm.KEY_VALUE_LATENT, keyValueLatent);
    }

    /**
     * Returns the input of a linear that reads one of the narrow vectors.
     *
     * @param normed [rows, hidden]
     */
    Matrix input(LinearInput input, DecoderLayer layer, Matrix normed) {
        narrow(layer, normed);
        return input == LinearInput.QUERY_LATENT ? queryLatent : keyValueLatent;
    }

    /**
     * Returns what the halves of kv_b_proj read where they are multiplied alone.
     *
     * @param queries [rows, heads * head_dim]
     */
    AbsorbedInputs absorbed(Matrix queries, AbsorbedInputs.Attention attention) {
        return new AbsorbedInputs(
                backend, latent, queries.columns() / latent.headDim(), queries, keyValueLatent, attention);
    }

    /** Returns what goes into o_proj: the values of heads without what filled them up. */
    Matrix values(Matrix attended) {
        backend.gatherColumns(attended, columns.attended, values);
        return values;
    }

    private void addBias(DecoderLayer layer, Linear linear, Matrix into) {
        float[] bias = layer.extras().biases().get(linear);
        if (bias != null) {
            backend.addBias(bias, into);
        }
    }

    private void norm(DecoderLayer layer, LayerNorm norm, Matrix x) {
        float[] gain = layer.extras().innerNorms().get(norm);
        if (gain == null) {
            throw new IllegalArgumentException("a layer without " + norm);
        }
        backend.rmsNorm(x, gain, LatentAttention.NORM_EPS, x);
    }

    @Override
    public void close() {
        all.forEach(Matrix::close);
    }
}
