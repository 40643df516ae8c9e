package nibble.engine.backend;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.tensor.Matrix;

/** Holds rotated keys, and values, of all layers: matrices of [capacity, kv_heads * head_dim]. Owns them. */
public final class KeyValueCache implements AutoCloseable {
    private final List<Matrix> keys = new ArrayList<>();
    private final List<Matrix> values = new ArrayList<>();
    private final int capacity;
    private int length;

    public KeyValueCache(ModelConfig config, Backend backend, int capacity) {
        this.capacity = capacity;
        int columns = config.kvHeads() * config.headDim();
        for (int layer = 0; layer < config.layers(); layer++) {
            keys.add(backend.allocate(capacity, columns));
            values.add(backend.allocate(capacity, columns));
        }
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
