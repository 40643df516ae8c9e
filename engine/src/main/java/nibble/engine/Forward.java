package nibble.engine;

import nibble.convert.LlamaConfig;
import org.jspecify.annotations.Nullable;

/**
 * The decoder layers of a Llama model over one sequence at a time. Holds the activations of a layer between calls, so that
 * sequences of one length allocate once; used by one thread at a time.
 *
 * <p>One layer, as the checkpoint names its parts:
 *
 * <pre>
 * h += o_proj(attention(rope(q_proj(n)), rope(k_proj(n)), v_proj(n)))     n = input_layernorm(h)
 * h += down_proj(silu(gate_proj(m)) * up_proj(m))                        m = post_attention_layernorm(h)
 * </pre>
 */
public final class Forward implements AutoCloseable {
    private final LlamaConfig config;
    private final Backend backend;
    private final AttentionShape heads;
    private @Nullable Scratch scratch;
    private @Nullable RotaryTable rotary;
    private int rotarySequence;

    public Forward(LlamaConfig config, Backend backend) {
        this.config = config;
        this.backend = backend;
        this.heads = new AttentionShape(config.heads(), config.kvHeads(), config.headDim());
    }

    /** The embeddings of {@code ids}, [ids, hidden]; the caller closes it. */
    public Matrix embed(DenseWeight embedding, int[] ids) {
        Matrix hidden = backend.allocate(ids.length, embedding.inFeatures());
        backend.embed(embedding, ids, hidden);
        return hidden;
    }

    /** Runs one layer over a whole sequence whose first token stands at position 0; {@code hidden} is changed in place. */
    public void layer(DecoderLayer layer, Matrix hidden, Taps taps) {
        Scratch s = scratch(hidden.rows());
        attend(layer, hidden, taps, s, 0, null);
        feedForward(layer, hidden, taps, s);
    }

    /** As {@link #layer} for tokens from {@code cache.length()} on, whose keys and values are put into the cache. */
    void layer(DecoderLayer layer, Matrix hidden, KeyValueCache cache, int index) {
        Scratch s = scratch(hidden.rows());
        attend(layer, hidden, Taps.NONE, s, index, cache);
        feedForward(layer, hidden, Taps.NONE, s);
    }

    private void attend(
            DecoderLayer layer, Matrix hidden, Taps taps, Scratch s, int index, @Nullable KeyValueCache cache) {
        int first = cache == null ? 0 : cache.length();
        RotaryTable table = rotary(first + hidden.rows());
        backend.rmsNorm(hidden, layer.inputNorm(), config.rmsNormEps(), s.normed);
        taps.tap(LinearInput.QKV, s.normed);
        backend.linear(layer.q(), s.normed, s.query);
        backend.linear(layer.k(), s.normed, s.key);
        backend.linear(layer.v(), s.normed, s.value);
        backend.rope(s.query, heads.headDim(), table, first);
        backend.rope(s.key, heads.headDim(), table, first);
        if (cache == null) {
            backend.attention(heads, s.query, 0, s.key, s.value, s.attended);
        } else {
            backend.copyRows(s.key, 0, hidden.rows(), cache.keys(index), first);
            backend.copyRows(s.value, 0, hidden.rows(), cache.values(index), first);
            backend.attention(heads, s.query, first, cache.keys(index), cache.values(index), s.attended);
        }
        taps.tap(LinearInput.O, s.attended);
        backend.linear(layer.o(), s.attended, s.delta);
        backend.add(s.delta, hidden);
    }

    private void feedForward(DecoderLayer layer, Matrix hidden, Taps taps, Scratch s) {
        backend.rmsNorm(hidden, layer.postAttentionNorm(), config.rmsNormEps(), s.normed);
        taps.tap(LinearInput.GATE_UP, s.normed);
        backend.linear(layer.gate(), s.normed, s.gate);
        backend.linear(layer.up(), s.normed, s.up);
        backend.swiglu(s.gate, s.up, s.gate);
        taps.tap(LinearInput.DOWN, s.gate);
        backend.linear(layer.down(), s.gate, s.delta);
        backend.add(s.delta, hidden);
    }

    private RotaryTable rotary(int sequenceLength) {
        boolean grows = RotaryTable.growsWithSequence(config.rope());
        int length = grows ? Math.max(sequenceLength, config.maxPositions()) : 0;
        if (rotary == null || rotary.positions() < sequenceLength || length != rotarySequence) {
            // Rounded up, so that token-by-token generation does not make a table a token.
            int positions = Math.max(sequenceLength, Math.min(2 * sequenceLength, config.maxPositions()));
            rotary = RotaryTable.of(config, positions, length);
            rotarySequence = length;
        }
        return rotary;
    }

    private Scratch scratch(int rows) {
        if (scratch == null || scratch.normed.rows() != rows) {
            if (scratch != null) {
                scratch.close();
            }
            scratch = new Scratch(rows);
        }
        return scratch;
    }

    /** Frees the activations. */
    @Override
    public void close() {
        if (scratch != null) {
            scratch.close();
            scratch = null;
        }
    }

    /** The activations inside a layer, [rows, features]. */
    private final class Scratch {
        final Matrix normed;
        final Matrix query;
        final Matrix key;
        final Matrix value;
        final Matrix attended;
        final Matrix delta;
        final Matrix gate;
        final Matrix up;

        Scratch(int rows) {
            normed = backend.allocate(rows, config.hiddenSize());
            query = backend.allocate(rows, heads.queryColumns());
            key = backend.allocate(rows, heads.keyColumns());
            value = backend.allocate(rows, heads.keyColumns());
            attended = backend.allocate(rows, heads.queryColumns());
            delta = backend.allocate(rows, config.hiddenSize());
            gate = backend.allocate(rows, config.intermediateSize());
            up = backend.allocate(rows, config.intermediateSize());
        }

        void close() {
            for (Matrix matrix : new Matrix[] {normed, query, key, value, attended, delta, gate, up}) {
                matrix.close();
            }
        }
    }
}
