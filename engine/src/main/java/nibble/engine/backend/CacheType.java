package nibble.engine.backend;

import nibble.checkpoint.model.ModelConfig;
import nibble.engine.tensor.Matrix;

/** Says how a cache holds keys and values. */
public enum CacheType {
    /** In the device's precision of activations. */
    AUTO,
    /** As 8-bit codes with an fp32 scale for each head of a token: {@link nibble.engine.attention.HeadCodes}. */
    INT8;

    /** Returns the bytes that keys and values of a token take on a device. */
    public long tokenBytes(ModelConfig config, int numberBytes) {
        int head = this == INT8 ? config.headDim() + Float.BYTES : config.headDim() * numberBytes;
        return 2L * config.layers() * config.kvHeads() * head;
    }

    /** Allocates rows of keys or of values, all zero. */
    Matrix allocate(Backend backend, ModelConfig config, int rows) {
        int columns = config.kvHeads() * config.headDim();
        return this == INT8 ? backend.allocateCodes(rows, columns, config.headDim()) : backend.allocate(rows, columns);
    }
}
