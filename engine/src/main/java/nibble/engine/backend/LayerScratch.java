package nibble.engine.backend;

import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;

/** Holds the matrices that {@link nibble.engine.forward.Forward} allocates inside a decoder layer. */
public final class LayerScratch {
    private LayerScratch() {}

    /** Returns their columns together: normed input, query and attended, key and value, gate and up. */
    public static long columns(ModelConfig config) {
        return config.hiddenSize()
                + 2L * config.heads() * config.headDim()
                + 2L * config.kvHeads() * config.headDim()
                + 2L * config.mlpColumns()
                + (config.latent().isPresent() ? ofLatent(config) : 0);
    }

    /** Of what stands between the residual stream and heads where keys and values come from a narrow vector. */
    private static long ofLatent(ModelConfig config) {
        return (long) config.outFeatures(Linear.Q)
                + config.width(LinearInput.QUERY_LATENT)
                + config.outFeatures(Linear.KV_A)
                + config.width(LinearInput.KEY_VALUE_LATENT)
                + config.outFeatures(Linear.KV_B)
                + config.width(LinearInput.O);
    }
}
