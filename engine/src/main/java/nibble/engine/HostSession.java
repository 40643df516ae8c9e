package nibble.engine;

import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.forward.Forward;

/** The host's part of a growing sequence: its layers' cache of keys and values. Owns the cache. */
final class HostSession implements AutoCloseable {
    private final HostLayers layers;
    private final Forward forward;
    private final KeyValueCache cache;

    HostSession(HostLayers layers, ModelConfig config, int capacity) {
        this.layers = layers;
        this.forward = new Forward(config, layers.backend());
        this.cache = new KeyValueCache(layers.config(), layers.backend(), capacity);
    }

    /** Appends ids; the residual stream behind the host's layers, [ids, hidden]. */
    float[] run(int[] ids) {
        float[] hidden = layers.run(forward, ids, (layer, stream, index) -> forward.layer(layer, stream, cache, index));
        cache.advance(ids.length);
        return hidden;
    }

    @Override
    public void close() {
        forward.close();
        cache.close();
    }
}
