package nibble.engine.backend;

import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.CacheType;

/** Holds rotated keys, and values, of all layers: matrices of [capacity, kv_heads * head_dim]. Owns them. */
public final class KeyValueCache extends KeyValueRows {
    private final int capacity;
    private int length;

    public KeyValueCache(ModelConfig config, Backend backend, int capacity) {
        super(config, backend, CacheType.AUTO, capacity);
        this.capacity = capacity;
    }

    /** Returns the most tokens it can hold. */
    public int capacity() {
        return capacity;
    }

    /** Returns the tokens held. */
    public int length() {
        return length;
    }

    public void advance(int tokens) {
        length += tokens;
    }
}
