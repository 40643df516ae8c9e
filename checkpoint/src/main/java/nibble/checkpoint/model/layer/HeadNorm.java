package nibble.checkpoint.model.layer;

/** Lists what a norm of queries and of keys, before rope, is over: an RMSNorm unless said otherwise. */
public enum HeadNorm {
    /** There is none. */
    NONE,
    /** Over each head by itself; all heads share a gain of [head_dim]. */
    EACH_HEAD,
    /** Over all heads together; a gain of [heads * head_dim]. */
    ALL_HEADS,
    /** Over each head by itself, less its mean; each head has a gain of its own, so [heads, head_dim] together. */
    CENTERED,
    /** Over each head by itself, without a gain, in layers whose queries and keys turn. */
    WITHOUT_GAIN;

    /** Returns whether a checkpoint has its gains. */
    public boolean isStored() {
        return this != NONE && this != WITHOUT_GAIN;
    }
}
