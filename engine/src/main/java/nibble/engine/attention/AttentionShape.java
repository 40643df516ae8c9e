package nibble.engine.attention;

import nibble.checkpoint.model.ModelConfig;

/**
 * Describes the heads of grouped-query attention: query head h reads key/value head {@code h / (heads / kvHeads)}.
 *
 * @param heads query heads, a multiple of {@code kvHeads}
 * @param headDim values a head
 * @param window the last positions that a query sees, its own included: from {@code position - window + 1} on
 */
public record AttentionShape(int heads, int kvHeads, int headDim, int window) {
    public AttentionShape {
        if (window < 1) {
            throw new IllegalArgumentException("attention to a window of " + window + " positions; at least 1 needed");
        }
        if (kvHeads < 1 || headDim < 2 || heads < kvHeads || heads % kvHeads != 0) {
            throw new IllegalArgumentException("attention of " + heads + " heads, " + kvHeads
                    + " key/value heads, head size " + headDim + ": heads must be a multiple of key/value heads");
        }
    }

    /** Describes heads whose queries see all positions up to their own. */
    public AttentionShape(int heads, int kvHeads, int headDim) {
        this(heads, kvHeads, headDim, ModelConfig.NO_WINDOW);
    }

    public static AttentionShape of(ModelConfig config) {
        return new AttentionShape(config.heads(), config.kvHeads(), config.headDim(), config.window());
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
