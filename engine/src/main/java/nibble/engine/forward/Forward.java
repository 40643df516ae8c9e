package nibble.engine.forward;

import java.util.List;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.Halves;
import nibble.engine.backend.Backend;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.Norm;
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
 * <p>Some models add both halves to what went into the layer, and both read one norm ({@link
 * nibble.checkpoint.model.Architecture#isParallel}). Calls for one half then do nothing for attention's, and all for
 * the MLP's.
 *
 * <p>{@link LayerExtras} come between: biases behind their linears, norms of heads before rope, norms of what o and
 * down give. How queries and keys turn and what they see is the layer's own ({@link
 * nibble.checkpoint.model.layer.LayerAttention}). {@link ExpertPass} runs experts where they stand in the MLP's place,
 * {@link LatentPass} what is in the place of q, k and v where keys and values come from a narrow vector.
 */
public final class Forward implements AutoCloseable {
    private final ModelConfig config;
    private final Backend backend;
    private final AttentionShape heads;
    private final Rotations rotations;
    /** Of layers whose keys and values come from a narrow vector; null for others. */
    private final LatentPass.@Nullable Columns latent;

    /** Of models whose rope turns neighbours; null for others. */
    private final @Nullable Halves halves;

    private final boolean parallel;

    private @Nullable LayerScratch scratch;

    public Forward(ModelConfig config, Backend backend) {
        this.config = config;
        this.backend = backend;
        this.heads = AttentionShape.of(config);
        this.rotations = new Rotations(config, backend);
        this.parallel = config.architecture().isParallel();
        this.halves = config.architecture().turnsNeighbours() ? Halves.of(config) : null;
        this.latent = config.latent()
                .map(from -> LatentPass.Columns.of(from, config.heads()))
                .orElse(null);
    }

    /** Returns the embeddings of {@code ids}, [ids, hidden]; the caller closes it. */
    public Matrix embed(Weight embedding, int[] ids) {
        Matrix hidden = backend.allocate(ids.length, embedding.inFeatures());
        try {
            backend.embed(embedding, ids, hidden);
            if (config.embeddingScale() != 1f) {
                backend.scale(hidden, config.embeddingScale());
            }
            return hidden;
        } catch (RuntimeException e) {
            hidden.close();
            throw e;
        }
    }

    /**
     * Runs one layer over whole sequences, each with its first token at position 0.
     *
     * @param sequences sequences of equal length that lie one after another in {@code hidden}
     * @param hidden changed in place
     */
    public void layer(DecoderLayer layer, Matrix hidden, int sequences, Taps taps) {
        LayerScratch s = scratch(hidden.rows());
        attend(layer, hidden, taps, s, () -> attendWhole(layer, s, sequences, taps));
        addBoth(layer, hidden, taps, s);
    }

    /** Adds both halves to the residual stream, after what goes into o is there. */
    private void addBoth(DecoderLayer layer, Matrix hidden, Taps taps, LayerScratch s) {
        if (parallel) {
            // The norm's output is still there, and the stream must not change before the MLP has read it.
            intoDown(layer, taps, s);
            addAttended(layer, hidden, s);
            addDown(layer, hidden, s);
        } else {
            addAttended(layer, hidden, s);
            addMlp(layer, hidden, taps, s);
        }
    }

    /**
     * Returns the input of some of a layer's linears, when the linears before them have run; {@code hidden} stays as it
     * is.
     *
     * @param hidden what goes into the attention half for QKV and O, into the MLP half for GATE_UP and DOWN
     * @return [rows, features], valid until the next call of this
     */
    public Matrix input(LinearInput input, DecoderLayer layer, Matrix hidden, int sequences) {
        LayerScratch s = scratch(hidden.rows());
        return switch (input) {
            case QKV -> {
                norm(layer, LayerVector.ATTENTION_IN_BIAS, hidden, s.normed);
                yield s.normed;
            }
            case O -> {
                attend(layer, hidden, Taps.NONE, s, () -> attendWhole(layer, s, sequences, Taps.NONE));
                yield s.intoO;
            }
            case QUERY_LATENT, KEY_VALUE_LATENT -> {
                norm(layer, LayerVector.ATTENTION_IN_BIAS, hidden, s.normed);
                yield s.latent().input(input, layer, s.normed);
            }
            case GATE_UP -> {
                norm(layer, parallel ? LayerVector.ATTENTION_IN_BIAS : LayerVector.MLP_IN_BIAS, hidden, s.normed);
                yield s.normed;
            }
            case DOWN -> {
                feedForward(layer, hidden, Taps.NONE, s);
                yield s.gate;
            }
        };
    }

    /**
     * Ends the attention half of a layer, after {@link #input} gave what goes into o; {@code hidden} is changed, but
     * where both halves are added together at the end.
     */
    public void endAttention(DecoderLayer layer, Matrix hidden) {
        if (!parallel) {
            addAttended(layer, hidden, scratch(hidden.rows()));
        }
    }

    /** Ends the MLP half of a layer, after {@link #input} gave what goes into down; {@code hidden} is changed. */
    public void endMlp(DecoderLayer layer, Matrix hidden, int sequences) {
        LayerScratch s = scratch(hidden.rows());
        if (parallel) {
            attend(layer, hidden, Taps.NONE, s, () -> attendWhole(layer, s, sequences, Taps.NONE));
            addAttended(layer, hidden, s);
        }
        addDown(layer, hidden, s);
    }

    /**
     * Computes the attention half of {@link #layer}: {@code hidden} is changed in place, but where both halves are
     * added together at the end.
     */
    public void attention(DecoderLayer layer, Matrix hidden, int sequences, Taps taps) {
        if (parallel) {
            return;
        }
        LayerScratch s = scratch(hidden.rows());
        attend(layer, hidden, taps, s, () -> attendWhole(layer, s, sequences, taps));
        addAttended(layer, hidden, s);
    }

    /** Computes the MLP half of {@link #layer}: {@code hidden} is changed in place. */
    public void mlp(DecoderLayer layer, Matrix hidden) {
        mlp(layer, hidden, Taps.NONE);
    }

    /** Computes the same while {@code taps} see what goes into its linears. */
    public void mlp(DecoderLayer layer, Matrix hidden, Taps taps) {
        requireHalves();
        addMlp(layer, hidden, taps, scratch(hidden.rows()));
    }

    /** Computes the same for whole sequences: with the attention half where both are added together. */
    public void mlp(DecoderLayer layer, Matrix hidden, int sequences) {
        if (parallel) {
            layer(layer, hidden, sequences, Taps.NONE);
        } else {
            mlp(layer, hidden);
        }
    }

    /** Computes {@link #layer} for tokens from {@code cache.length()} on; their keys and values go into the cache. */
    public void layer(DecoderLayer layer, Matrix hidden, KeyValueCache cache, int index) {
        LayerScratch s = scratch(hidden.rows());
        attend(layer, hidden, Taps.NONE, s, () -> attendCached(layer, s, cache, index));
        addBoth(layer, hidden, Taps.NONE, s);
    }

    /** Computes {@link #layer} with an attention of its own. */
    public void layer(DecoderLayer layer, Matrix hidden, RowAttention attention) {
        LayerScratch s = scratch(hidden.rows());
        attend(layer, hidden, Taps.NONE, s, () -> attention.run(layer, s.query, s.key, s.value, s.attended));
        addBoth(layer, hidden, Taps.NONE, s);
    }

    /** Computes the attention half of {@link #layer} with an attention of its own. */
    public void attention(DecoderLayer layer, Matrix hidden, RowAttention attention) {
        requireHalves();
        LayerScratch s = scratch(hidden.rows());
        attend(layer, hidden, Taps.NONE, s, () -> attention.run(layer, s.query, s.key, s.value, s.attended));
        addAttended(layer, hidden, s);
    }

    private void requireHalves() {
        if (parallel) {
            throw new IllegalStateException("halves of a layer whose attention and MLP are added together");
        }
    }

    /** Returns what turns rows that stand at any positions, none of them beyond the trained context. */
    public Rotations.At rotations(int[] positions) {
        return rotations.at(positions);
    }

    /**
     * @param mix makes {@code s.attended} of {@code s.query}, {@code s.key} and {@code s.value}, which are not yet
     *     rotated
     */
    private void attend(DecoderLayer layer, Matrix hidden, Taps taps, LayerScratch s, Runnable mix) {
        norm(layer, LayerVector.ATTENTION_IN_BIAS, hidden, s.normed);
        taps.tap(LinearInput.QKV, Expert.NONE, s.normed);
        if (s.latent == null) {
            backend.linears(
                    List.of(layer.q(), layer.k(), layer.v()), s.normed, List.of(s.madeQuery, s.madeKey, s.value));
            addExtras(layer.extras(), s);
            if (halves != null) {
                backend.gatherColumns(s.madeQuery, halves.query(), s.query);
                backend.gatherColumns(s.madeKey, halves.key(), s.key);
            }
            mix.run();
        } else {
            s.latent.project(layer, s.normed, taps, s.query, s.key, s.value);
            mix.run();
            s.intoO = s.latent.values(s.attended);
        }
        taps.tap(LinearInput.O, Expert.NONE, s.intoO);
    }

    private void addAttended(DecoderLayer layer, Matrix hidden, LayerScratch s) {
        add(layer, Linear.O, s.intoO, LayerNorm.ATTENTION_OUT, hidden, s);
    }

    private void addDown(DecoderLayer layer, Matrix hidden, LayerScratch s) {
        add(layer, Linear.DOWN, s.gate, LayerNorm.MLP_OUT, hidden, s);
    }

    /** Adds what a linear gives to the residual stream, through the norm behind it if there is one. */
    private void add(DecoderLayer layer, Linear linear, Matrix x, LayerNorm behind, Matrix hidden, LayerScratch s) {
        float[] gain = layer.extras().innerNorms().get(behind);
        if (gain == null) {
            backend.addLinear(layer.weight(linear), x, hidden);
            addBias(layer.extras(), linear, hidden);
            return;
        }
        // What the norm in front gave is used up.
        backend.linear(layer.weight(linear), x, s.normed);
        addBias(layer.extras(), linear, s.normed);
        backend.rmsNorm(s.normed, gain, config.rmsNormEps(), s.normed);
        backend.add(s.normed, hidden);
    }

    /** Of the residual stream; a layer may have none. */
    private void norm(DecoderLayer layer, LayerVector bias, Matrix hidden, Matrix out) {
        float[] gain = bias == LayerVector.MLP_IN_BIAS ? layer.postAttentionNorm() : layer.inputNorm();
        if (gain.length == 0) {
            backend.copyRows(hidden, 0, hidden.rows(), out, 0);
            return;
        }
        Norm norm = new Norm(
                gain, layer.extras().vector(bias), config.architecture().centersNorms());
        backend.norm(hidden, norm, config.streamNormEps(), out);
    }

    private void addExtras(LayerExtras extras, LayerScratch s) {
        addBias(extras, Linear.Q, s.madeQuery);
        addBias(extras, Linear.K, s.madeKey);
        addBias(extras, Linear.V, s.value);
        extras.headNorms().ifPresent(norms -> {
            normHeads(s.madeQuery, norms.query());
            normHeads(s.madeKey, norms.key());
        });
    }

    private void normHeads(Matrix x, float[] gain) {
        if (config.architecture().headNorm() == HeadNorm.CENTERED) {
            backend.layerNormHeads(x, gain, config.headDim(), config.rmsNormEps());
        } else {
            backend.rmsNormHeads(x, gain, config.rmsNormEps());
        }
    }

    private void addBias(LayerExtras extras, Linear linear, Matrix into) {
        float[] bias = extras.biases().get(linear);
        if (bias != null) {
            backend.addBias(bias, into);
        }
    }

    private void attendWhole(DecoderLayer layer, LayerScratch s, int sequences, Taps taps) {
        rotations.rotate(layer, s.query, s.key, sequences, 0);
        AttentionShape shape = shape(layer);
        chunks(layer).attend(backend, shape, sequences, s.query, 0, s.key, s.value, s.attended);
        if (s.latent != null) {
            taps.absorbed(s.latent.absorbed(
                    s.query, (values, mixed) -> backend.attention(shape, sequences, s.query, 0, s.key, values, mixed)));
        }
    }

    /** Returns the heads of a layer. */
    public AttentionShape shape(DecoderLayer layer) {
        return AttentionShape.of(config, config.attention(layer.extras().layer()))
                .withSinks(layer.extras().vector(LayerVector.SINKS));
    }

    /** Returns the chunks of positions that queries of a layer see. */
    public Chunks chunks(DecoderLayer layer) {
        return new Chunks(config.attention(layer.extras().layer()).chunk());
    }

    private void attendCached(DecoderLayer layer, LayerScratch s, KeyValueCache cache, int index) {
        int first = cache.length();
        rotations.rotate(layer, s.query, s.key, 1, first);
        backend.copyRows(s.key, 0, s.key.rows(), cache.keys(index), first);
        backend.copyRows(s.value, 0, s.value.rows(), cache.values(index), first);
        chunks(layer)
                .attend(backend, shape(layer), 1, s.query, first, cache.keys(index), cache.values(index), s.attended);
    }

    /** Returns what runs the experts of a layer, whose input is what {@link #input} gives for GATE_UP. */
    public ExpertPass experts() {
        return new ExpertPass(
                config.experts().orElseThrow(), config.architecture().activation(), backend);
    }

    private void addMlp(DecoderLayer layer, Matrix hidden, Taps taps, LayerScratch s) {
        switch (layer.feedForward()) {
            case Mlp _ -> {
                feedForward(layer, hidden, taps, s);
                addDown(layer, hidden, s);
            }
            case ExpertMlps experts -> {
                norm(layer, LayerVector.MLP_IN_BIAS, hidden, s.normed);
                experts().run(experts, s.normed, hidden, taps);
            }
        }
    }

    /** Computes what goes into the MLP's down, in {@code s.gate}. */
    private void feedForward(DecoderLayer layer, Matrix hidden, Taps taps, LayerScratch s) {
        norm(layer, parallel ? LayerVector.ATTENTION_IN_BIAS : LayerVector.MLP_IN_BIAS, hidden, s.normed);
        intoDown(layer, taps, s);
    }

    /** Computes the same of {@code s.normed}. */
    private void intoDown(DecoderLayer layer, Taps taps, LayerScratch s) {
        taps.tap(LinearInput.GATE_UP, Expert.NONE, s.normed);
        backend.linears(List.of(layer.gate(), layer.up()), s.normed, List.of(s.gate, s.up));
        addBias(layer.extras(), Linear.GATE, s.gate);
        addBias(layer.extras(), Linear.UP, s.up);
        backend.glu(config.architecture().activation(), s.gate, s.up, s.gate);
        taps.tap(LinearInput.DOWN, Expert.NONE, s.gate);
    }

    private LayerScratch scratch(int rows) {
        if (scratch == null || scratch.normed.rows() != rows) {
            close();
            scratch = new LayerScratch(config, heads, latent, halves != null, backend, rows);
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
}
