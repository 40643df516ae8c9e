package nibble.engine.batch;

/** Generates many texts at once on one model. All methods are thread-safe. */
public interface GenerationService extends AutoCloseable {
    /**
     * Queues a text.
     *
     * @throws IllegalArgumentException for a prompt that with one new id exceeds {@link #contextTokens()}, or an id
     *     outside the vocabulary
     * @throws QueueFullException if as many texts wait as may
     * @throws IllegalStateException after {@link #close()} or {@link #drain()}
     */
    Generation submit(GenerationRequest request, GenerationListener listener);

    /** Returns the most ids of a text, its prompt included. */
    int contextTokens();

    /** Returns what the service does at this moment, and has done. */
    ServiceState state();

    /** Takes no more texts, and returns when those that were taken have ended. */
    void drain() throws InterruptedException;

    /** Cancels all texts and frees the cache. */
    @Override
    void close();
}
