package nibble.engine.backend;

import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.CacheType;

/**
 * Holds rotated keys, and values, of all layers in blocks that sequences share: matrices of [blocks * rows of a block,
 * kv_heads * head_dim]. Owns them.
 */
public final class BlockCache extends KeyValueRows {
    private final CacheType type;
    private final int blockTokens;
    private final int contextTokens;

    /**
     * Allocates the blocks.
     *
     * @param contextTokens most tokens of a sequence
     */
    public BlockCache(
            ModelConfig config, Backend backend, CacheType type, int blocks, int blockTokens, int contextTokens) {
        super(config, backend, type, Math.multiplyExact(blocks, blockTokens));
        this.type = type;
        this.blockTokens = blockTokens;
        this.contextTokens = contextTokens;
    }

    public CacheType type() {
        return type;
    }

    /** Returns the rows of a block. */
    public int blockTokens() {
        return blockTokens;
    }

    /** Returns the most tokens of a sequence. */
    public int contextTokens() {
        return contextTokens;
    }
}
