package nibble.engine.backend;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.tensor.Matrix;

/**
 * Holds rotated keys, and values, of all layers in blocks that sequences share: matrices of [blocks * rows of a block,
 * kv_heads * head_dim]. Owns them.
 */
public final class BlockCache implements AutoCloseable {
    private final List<Matrix> keys = new ArrayList<>();
    private final List<Matrix> values = new ArrayList<>();
    private final int blockTokens;
    private final int contextTokens;

    /**
     * Allocates the blocks.
     *
     * @param contextTokens most tokens of a sequence
     */
    public BlockCache(ModelConfig config, Backend backend, int blocks, int blockTokens, int contextTokens) {
        this.blockTokens = blockTokens;
        this.contextTokens = contextTokens;
        int columns = config.kvHeads() * config.headDim();
        int rows = Math.multiplyExact(blocks, blockTokens);
        try {
            for (int layer = 0; layer < config.layers(); layer++) {
                keys.add(backend.allocate(rows, columns));
                values.add(backend.allocate(rows, columns));
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Returns the rows of a block. */
    public int blockTokens() {
        return blockTokens;
    }

    /** Returns the most tokens of a sequence. */
    public int contextTokens() {
        return contextTokens;
    }

    public Matrix keys(int layer) {
        return keys.get(layer);
    }

    public Matrix values(int layer) {
        return values.get(layer);
    }

    @Override
    public void close() {
        keys.forEach(Matrix::close);
        values.forEach(Matrix::close);
    }
}
