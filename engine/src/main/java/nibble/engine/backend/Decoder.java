package nibble.engine.backend;

/** Runs one token after another against a KV cache: what text generation does most. Borrows the model and the cache. */
public interface Decoder extends AutoCloseable {
    /**
     * Runs {@code id} at position {@code cache.length()} and puts its keys and values into the cache, whose length the
     * caller then advances.
     *
     * @return the logits after it, [vocabulary], valid until the next token
     */
    float[] next(int id);

    /**
     * Does what {@link #next(int)} does, where other layers come before those of the model.
     *
     * @param hidden the residual stream in front of its layers, [hidden]
     */
    float[] next(float[] hidden);

    @Override
    void close();
}
