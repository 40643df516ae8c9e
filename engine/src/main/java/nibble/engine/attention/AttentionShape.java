package nibble.engine.attention;

import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LayerAttention;

/**
 * Describes the heads of grouped-query attention: query head h reads key/value head {@code h / (heads / kvHeads)}.
 *
 * @param heads query heads, a multiple of {@code kvHeads}
 * @param headDim values a head
 * @param window the last positions that a query sees, its own included: from {@code position - window + 1} on
 * @param scale factor of a query's product with a key
 * @param cap c of {@code c tanh(score / c)} in front of softmax; 0 for none
 * @param sinks [heads]: a score that softmax has beside those of keys, whose share no value gets; {@link #NO_SINKS}
 */
public record AttentionShape(int heads, int kvHeads, int headDim, int window, float scale, float cap, float[] sinks) {
    /** Stands for softmax over keys alone. */
    public static final float[] NO_SINKS = {};

    public AttentionShape {
        if (sinks.length != 0 && sinks.length != heads) {
            throw new IllegalArgumentException("attention with " + sinks.length + " sinks for " + heads + " heads");
        }
        sinks = sinks.length == 0 ? NO_SINKS : sinks;
        if (window < 1) {
            throw new IllegalArgumentException("attention to a window of " + window + " positions; at least 1 needed");
        }
        if (kvHeads < 1 || headDim < 2 || heads < kvHeads || heads % kvHeads != 0) {
            throw new IllegalArgumentException("attention of " + heads + " heads, " + kvHeads
                    + " key/value heads, head size " + headDim + ": heads must be a multiple of key/value heads");
        }
        if (!(cap >= 0)) {
            throw new IllegalArgumentException("attention with scores capped at " + cap + "; at least 0 needed");
        }
    }

    /** Describes heads without sinks. */
    public AttentionShape(int heads, int kvHeads, int headDim, int window, float scale, float cap) {
        this(heads, kvHeads, headDim, window, scale, cap, NO_SINKS);
    }

    /** Returns the same heads with other sinks. */
    public AttentionShape withSinks(float[] others) {
        return new AttentionShape(heads, kvHeads, headDim, window, scale, cap, others);
    }

    /** Returns whether softmax has a score beside those of keys. */
    public boolean hasSinks() {
        return sinks.length > 0;
    }

    /** Describes heads whose scores are scaled by 1/√head_dim and not capped. */
    public AttentionShape(int heads, int kvHeads, int headDim, int window) {
        this(heads, kvHeads, headDim, window, (float) (1 / Math.sqrt(headDim)), 0);
    }

    /** Describes heads whose queries see all positions up to their own. */
    public AttentionShape(int heads, int kvHeads, int headDim) {
        this(heads, kvHeads, headDim, ModelConfig.NO_WINDOW);
    }

    /** Describes the heads of a layer of a model. */
    public static AttentionShape of(ModelConfig config, LayerAttention layer) {
        return new AttentionShape(
                config.heads(),
                config.kvHeads(),
                config.headDim(),
                layer.window(),
                (float) config.multipliers().score(),
                (float) config.multipliers().scoreCap());
    }

    /** Describes the heads of a model, as far as all layers have them: without a window. */
    public static AttentionShape of(ModelConfig config) {
        return of(config, new LayerAttention(ModelConfig.NO_WINDOW, java.util.Optional.empty()));
    }

    /** Returns whether scores pass a cap in front of softmax. */
    public boolean caps() {
        return cap > 0;
    }

    /** Returns the first position that a query at this one sees. */
    public int firstSeen(int position) {
        return Math.max(0, position - window + 1);
    }

    /** Returns the columns of the query and of the attention output. */
    public int queryColumns() {
        return heads * headDim;
    }

    /** Returns the columns of keys and of values. */
    public int keyColumns() {
        return kvHeads * headDim;
    }
}
