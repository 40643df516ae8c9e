package nibble.engine;

/**
 * One growing sequence with its KV cache. Owns the cache; used by one thread at a time.
 *
 * <p>Where a model has dynamic-NTK rope and the sequence outgrows its positions, keys keep the rotation of the length they
 * were appended at, as in transformers; a full forward pass of the whole sequence then differs.
 */
public final class Session implements AutoCloseable {
    private final Llama model;
    private final Forward forward;
    private final KeyValueCache cache;

    Session(Llama model, int capacity) {
        this.model = model;
        this.forward = new Forward(model.weights().config(), model.backend());
        this.cache = new KeyValueCache(model.weights().config(), model.backend(), capacity);
    }

    /** Tokens so far. */
    public int length() {
        return cache.length();
    }

    /** The most tokens this session can hold. */
    public int capacity() {
        return cache.capacity();
    }

    /**
     * Appends {@code ids}.
     *
     * @param ids at least one; with those before them at most {@link #capacity()}
     * @return the logits after the last id, [vocabulary]
     * @throws IllegalArgumentException for no ids, an id outside the vocabulary, or too many
     */
    public float[] append(int[] ids) {
        if (ids.length == 0) {
            throw new IllegalArgumentException("no token ids to append");
        }
        if (cache.length() + ids.length > cache.capacity()) {
            throw new IllegalArgumentException("context overflow: " + cache.length() + " tokens held and " + ids.length
                    + " to append, the session's capacity is " + cache.capacity());
        }
        ModelWeights weights = model.weights();
        Backend backend = model.backend();
        try (Matrix hidden = forward.embed(weights.embedding(), ids)) {
            for (int layer = 0; layer < weights.layers().size(); layer++) {
                forward.layer(weights.layers().get(layer), hidden, cache, layer);
            }
            cache.advance(ids.length);
            try (Matrix last = backend.upload(
                            backend.download(hidden, ids.length - 1, 1), 1, weights.config().hiddenSize());
                    Matrix logits = backend.allocate(1, weights.head().outFeatures())) {
                backend.rmsNorm(last, weights.finalNorm(), weights.config().rmsNormEps(), last);
                backend.linear(weights.head(), last, logits);
                return backend.download(logits);
            }
        }
    }

    @Override
    public void close() {
        forward.close();
        cache.close();
    }
}
