package nibble.engine;

/**
 * The heads of grouped-query attention: query head h reads key/value head {@code h / (heads / kvHeads)}.
 *
 * @param heads query heads, a multiple of {@code kvHeads}
 * @param headDim values a head
 */
public record AttentionShape(int heads, int kvHeads, int headDim) {
    public AttentionShape {
        if (kvHeads < 1 || headDim < 2 || heads < kvHeads || heads % kvHeads != 0) {
            throw new IllegalArgumentException("attention of " + heads + " heads, " + kvHeads
                    + " key/value heads, head size " + headDim + ": heads must be a multiple of key/value heads");
        }
    }

    /** Columns of the query and of the attention output. */
    public int queryColumns() {
        return heads * headDim;
    }

    /** Columns of keys and of values. */
    public int keyColumns() {
        return kvHeads * headDim;
    }
}
