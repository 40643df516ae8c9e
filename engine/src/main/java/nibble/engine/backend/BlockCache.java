package nibble.engine.backend;

import nibble.checkpoint.model.ModelConfig;

/**
 * Holds rotated keys, and values, of all layers in blocks that sequences share: matrices of [blocks * rows of a block,
 * kv_heads * head_dim]. Owns them.
 */
public final class BlockCache extends KeyValueRows {
    private final int blockTokens;
    private final int contextTokens;

    /**
     * Allocates the blocks.
     *
     * @param contextTokens most tokens of a sequence
     */
    public BlockCache(ModelConfig config, Backend backend, int blocks, int blockTokens, int contextTokens) {
        super(config, backend, Math.multiplyExact(blocks, blockTokens));
        this.blockTokens = blockTokens;
        this.contextTokens = contextTokens;
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
