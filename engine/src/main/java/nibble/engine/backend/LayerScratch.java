package nibble.engine.backend;

import nibble.checkpoint.model.ModelConfig;

/** Holds the matrices that {@link nibble.engine.forward.Forward} allocates inside a decoder layer. */
public final class LayerScratch {
    private LayerScratch() {}

    /** Returns their columns together: normed input, query and attended, key and value, gate and up. */
    public static long columns(ModelConfig config) {
        return config.hiddenSize()
                + 2L * config.heads() * config.headDim()
                + 2L * config.kvHeads() * config.headDim()
                + 2L * config.mlpColumns();
    }
}
