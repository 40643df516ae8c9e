package nibble.engine;

import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.Backend;
import nibble.engine.forward.Forward;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.PlacedModel;

/** The embedding and the first layers of a model, which the host computes for a card. Borrows the backend. */
final class HostLayers implements AutoCloseable {
    private final Backend backend;
    private final PlacedModel placed;
    private final Forward forward;

    HostLayers(ModelWeights weights, Backend.HostShare share) {
        this.backend = share.backend();
        this.placed = backend.place(weights.part(0, share.layers()));
        this.forward = new Forward(weights.config(), backend);
    }

    /** Computes a layer of the host. */
    interface Pass {
        void layer(DecoderLayer layer, Matrix hidden, int index);
    }

    Backend backend() {
        return backend;
    }

    Forward forward() {
        return forward;
    }

    ModelConfig config() {
        return placed.config();
    }

    PlacedModel placed() {
        return placed;
    }

    /** The residual stream behind these layers, row-major [ids, hidden]. */
    float[] run(int[] ids, Pass pass) {
        return run(forward, ids, pass);
    }

    /** As {@link #run(int[], Pass)}, with the activations of another caller. */
    float[] run(Forward forward, int[] ids, Pass pass) {
        try (Matrix hidden = forward.embed(placed.embedding(), ids)) {
            for (int layer = 0; layer < config().layers(); layer++) {
                pass.layer(placed.layer(layer), hidden, layer);
            }
            return backend.download(hidden);
        }
    }

    @Override
    public void close() {
        forward.close();
        placed.close();
    }
}
