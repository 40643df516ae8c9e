package nibble.engine.forward;

import java.util.Arrays;
import java.util.List;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Backend;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.Weight;
import org.jspecify.annotations.Nullable;

/**
 * Runs the decoder layers of a model over sequences of one length. Holds the activations of a layer between calls, so
 * that sequences of one length allocate once; used by one thread at a time.
 *
 * <p>One layer, as the checkpoint names its parts:
 *
 * <pre>
 * h += o_proj(attention(rope(q_proj(n)), rope(k_proj(n)), v_proj(n)))     n = input_layernorm(h)
 * h += down_proj(silu(gate_proj(m)) * up_proj(m))                        m = post_attention_layernorm(h)
 * </pre>
 *
 * <p>{@link LayerExtras} come between: biases behind their linears, norms of heads before rope. {@link ExpertPass} runs
 * experts where they stand in the MLP's place.
 */
public final class Forward implements AutoCloseable {
    private final ModelConfig config;
    private final Backend backend;
    private final AttentionShape heads;
    private @Nullable Scratch scratch;
    private @Nullable RotaryTable rotary;
    private int rotarySequence;

    public Forward(ModelConfig config, Backend backend) {
        this.config = config;
        this.backend = backend;
        this.heads = AttentionShape.of(config);
    }

    /** Returns the embeddings of {@code ids}, [ids, hidden]; the caller closes it. */
    public Matrix embed(Weight embedding, int[] ids) {
        Matrix hidden = backend.allocate(ids.length, embedding.inFeatures());
        backend.embed(embedding, ids, hidden);
        if (config.embeddingScale() != 1f) {
            backend.scale(hidden, config.embeddingScale());
        }
        return hidden;
    }

    /**
     * Runs one layer over whole sequences, each with its first token at position 0.
     *
     * @param sequences sequences of equal length that lie one after another in {@code hidden}
     * @param hidden changed in place
     */
    public void layer(DecoderLayer layer, Matrix hidden, int sequences, Taps taps) {
        Scratch s = scratch(hidden.rows());
        attend(layer, hidden, taps, s, () -> attendWhole(s, sequences));
        addAttended(layer, hidden, s);
        addMlp(layer, hidden, taps, s);
    }

    /**
     * Returns the input of some of a layer's linears, when the linears before them have run; {@code hidden} stays as it
     * is.
     *
     * @param hidden what goes into the attention half for QKV and O, into the MLP half for GATE_UP and DOWN
     * @return [rows, features], valid until the next call of this
     */
    public Matrix input(LinearInput input, DecoderLayer layer, Matrix hidden, int sequences) {
        Scratch s = scratch(hidden.rows());
        return switch (input) {
            case QKV -> {
                backend.rmsNorm(hidden, layer.inputNorm(), config.rmsNormEps(), s.normed);
                yield s.normed;
            }
            case O -> {
                attend(layer, hidden, Taps.NONE, s, () -> attendWhole(s, sequences));
                yield s.attended;
            }
            case GATE_UP -> {
                backend.rmsNorm(hidden, layer.postAttentionNorm(), config.rmsNormEps(), s.normed);
                yield s.normed;
            }
            case DOWN -> {
                feedForward(layer, hidden, Taps.NONE, s);
                yield s.gate;
            }
        };
    }

    /** Ends the attention half of a layer, after {@link #input} gave what goes into o; {@code hidden} is changed. */
    public void endAttention(DecoderLayer layer, Matrix hidden) {
        addAttended(layer, hidden, scratch(hidden.rows()));
    }

    /** Ends the MLP half of a layer, after {@link #input} gave what goes into down; {@code hidden} is changed. */
    public void endMlp(DecoderLayer layer, Matrix hidden) {
        backend.addLinear(layer.down(), scratch(hidden.rows()).gate, hidden);
    }

    /** Computes the attention half of {@link #layer}: {@code hidden} is changed in place. */
    public void attention(DecoderLayer layer, Matrix hidden, int sequences) {
        Scratch s = scratch(hidden.rows());
        attend(layer, hidden, Taps.NONE, s, () -> attendWhole(s, sequences));
        addAttended(layer, hidden, s);
    }

    /** Computes the MLP half of {@link #layer}: {@code hidden} is changed in place. */
    public void mlp(DecoderLayer layer, Matrix hidden) {
        Scratch s = scratch(hidden.rows());
        addMlp(layer, hidden, Taps.NONE, s);
    }

    /** Computes {@link #layer} for tokens from {@code cache.length()} on; their keys and values go into the cache. */
    public void layer(DecoderLayer layer, Matrix hidden, KeyValueCache cache, int index) {
        Scratch s = scratch(hidden.rows());
        attend(layer, hidden, Taps.NONE, s, () -> attendCached(s, cache, index));
        addAttended(layer, hidden, s);
        addMlp(layer, hidden, Taps.NONE, s);
    }

    /** Computes {@link #layer} with an attention of its own. */
    public void layer(DecoderLayer layer, Matrix hidden, RowAttention attention) {
        Scratch s = scratch(hidden.rows());
        attend(layer, hidden, Taps.NONE, s, () -> attention.run(s.query, s.key, s.value, s.attended));
        addAttended(layer, hidden, s);
        addMlp(layer, hidden, Taps.NONE, s);
    }

    /** Returns the table of rows that stand at any positions, none of them beyond the trained context. */
    public RotaryTable rotary(int[] positions) {
        return rotary(Arrays.stream(positions).max().orElse(0) + 1).at(positions);
    }

    /**
     * @param mix makes {@code s.attended} of {@code s.query}, {@code s.key} and {@code s.value}, which are not yet
     *     rotated
     */
    private void attend(DecoderLayer layer, Matrix hidden, Taps taps, Scratch s, Runnable mix) {
        backend.rmsNorm(hidden, layer.inputNorm(), config.rmsNormEps(), s.normed);
        taps.tap(LinearInput.QKV, Expert.NONE, s.normed);
        backend.linears(List.of(layer.q(), layer.k(), layer.v()), s.normed, List.of(s.query, s.key, s.value));
        addExtras(layer.extras(), s);
        mix.run();
        taps.tap(LinearInput.O, Expert.NONE, s.attended);
    }

    private void addAttended(DecoderLayer layer, Matrix hidden, Scratch s) {
        backend.addLinear(layer.o(), s.attended, hidden);
        addBias(layer.extras(), Linear.O, hidden);
    }

    private void addExtras(LayerExtras extras, Scratch s) {
        addBias(extras, Linear.Q, s.query);
        addBias(extras, Linear.K, s.key);
        addBias(extras, Linear.V, s.value);
        extras.headNorms().ifPresent(norms -> {
            backend.rmsNormHeads(s.query, norms.query(), config.rmsNormEps());
            backend.rmsNormHeads(s.key, norms.key(), config.rmsNormEps());
        });
    }

    private void addBias(LayerExtras extras, Linear linear, Matrix into) {
        float[] bias = extras.biases().get(linear);
        if (bias != null) {
            backend.addBias(bias, into);
        }
    }

    private void attendWhole(Scratch s, int sequences) {
        rotate(s, sequences, 0);
        backend.attention(heads, sequences, s.query, 0, s.key, s.value, s.attended);
    }

    private void attendCached(Scratch s, KeyValueCache cache, int index) {
        int first = cache.length();
        rotate(s, 1, first);
        backend.copyRows(s.key, 0, s.key.rows(), cache.keys(index), first);
        backend.copyRows(s.value, 0, s.value.rows(), cache.values(index), first);
        backend.attention(heads, 1, s.query, first, cache.keys(index), cache.values(index), s.attended);
    }

    private void rotate(Scratch s, int sequences, int first) {
        RotaryTable table = rotary(first + s.query.rows() / sequences);
        backend.rope(s.query, heads.headDim(), table, sequences, first);
        backend.rope(s.key, heads.headDim(), table, sequences, first);
    }

    private void addMlp(DecoderLayer layer, Matrix hidden, Taps taps, Scratch s) {
        switch (layer.feedForward()) {
            case Mlp mlp -> {
                feedForward(layer, hidden, taps, s);
                backend.addLinear(mlp.down(), s.gate, hidden);
            }
            case ExpertMlps experts -> {
                backend.rmsNorm(hidden, layer.postAttentionNorm(), config.rmsNormEps(), s.normed);
                new ExpertPass(
                                config.experts().orElseThrow(),
                                config.architecture().activation(),
                                backend)
                        .run(experts, s.normed, hidden, taps);
            }
        }
    }

    /** Computes what goes into the MLP's down, in {@code s.gate}. */
    private void feedForward(DecoderLayer layer, Matrix hidden, Taps taps, Scratch s) {
        backend.rmsNorm(hidden, layer.postAttentionNorm(), config.rmsNormEps(), s.normed);
        taps.tap(LinearInput.GATE_UP, Expert.NONE, s.normed);
        backend.linears(List.of(layer.gate(), layer.up()), s.normed, List.of(s.gate, s.up));
        backend.glu(config.architecture().activation(), s.gate, s.up, s.gate);
        taps.tap(LinearInput.DOWN, Expert.NONE, s.gate);
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
        final Matrix gate;
        final Matrix up;

        Scratch(int rows) {
            normed = backend.allocate(rows, config.hiddenSize());
            query = backend.allocate(rows, heads.queryColumns());
            key = backend.allocate(rows, heads.keyColumns());
            value = backend.allocate(rows, heads.keyColumns());
            attended = backend.allocate(rows, heads.queryColumns());
            gate = backend.allocate(rows, config.mlpColumns());
            up = backend.allocate(rows, config.mlpColumns());
        }

        void close() {
            for (Matrix matrix : new Matrix[] {normed, query, key, value, attended, gate, up}) {
                matrix.close();
            }
        }
    }
}
