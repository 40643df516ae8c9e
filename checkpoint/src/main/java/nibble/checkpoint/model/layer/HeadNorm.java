package nibble.checkpoint.model.layer;

/** Lists what an RMSNorm of queries and of keys, before rope, is over. */
public enum HeadNorm {
    /** There is none. */
    NONE,
    /** Over each head by itself; all heads share a gain of [head_dim]. */
    EACH_HEAD,
    /** Over all heads together; a gain of [heads * head_dim]. */
    ALL_HEADS
}
