package nibble.engine.tensor;

import nibble.checkpoint.model.ModelConfig;

/** Holds a model whose weights lie where a backend computes. Owns what it takes there. */
public interface PlacedModel extends LayerFeed {
    ModelConfig config();

    /** Returns the embedding, [vocabulary, hidden]. */
    Weight embedding();

    /** Returns the norm before the head. */
    Norm finalNorm();

    /** Returns the head, [vocabulary, hidden]. */
    Weight head();

    /** Returns a model that is used where it already lies, on the host. */
    static PlacedModel onHost(ModelWeights weights) {
        return onHost(weights, () -> {});
    }

    /**
     * Returns a model that is used where it already lies, on the host.
     *
     * @param onClose frees what was made for it
     */
    static PlacedModel onHost(ModelWeights weights, Runnable onClose) {
        return new PlacedModel() {
            @Override
            public ModelConfig config() {
                return weights.config();
            }

            @Override
            public Weight embedding() {
                return weights.embedding();
            }

            @Override
            public DecoderLayer layer(int index) {
                return weights.layers().get(index);
            }

            @Override
            public Norm finalNorm() {
                return weights.finalNorm();
            }

            @Override
            public Weight head() {
                return weights.head();
            }

            @Override
            public void close() {
                onClose.run();
            }
        };
    }
}
