package nibble.engine.backend;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.CacheType;
import nibble.engine.tensor.Matrix;

/** Holds keys and values of all layers: matrices of [rows, kv_heads * head_dim]. Owns them. */
abstract class KeyValueRows implements AutoCloseable {
    private final List<Matrix> keys = new ArrayList<>();
    private final List<Matrix> values = new ArrayList<>();

    KeyValueRows(ModelConfig config, Backend backend, CacheType type, int rows) {
        try {
            for (int layer = 0; layer < config.layers(); layer++) {
                keys.add(allocate(config, backend, type, rows));
                values.add(allocate(config, backend, type, rows));
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private static Matrix allocate(ModelConfig config, Backend backend, CacheType type, int rows) {
        int columns = config.kvHeads() * config.headDim();
        return switch (type) {
            case AUTO -> backend.allocate(rows, columns);
            case INT8 -> backend.allocateCodes(rows, columns, config.headDim());
        };
    }

    public final Matrix keys(int layer) {
        return keys.get(layer);
    }

    public final Matrix values(int layer) {
        return values.get(layer);
    }

    @Override
    public final void close() {
        keys.forEach(Matrix::close);
        values.forEach(Matrix::close);
    }
}
