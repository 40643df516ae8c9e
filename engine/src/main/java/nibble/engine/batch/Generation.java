package nibble.engine.batch;

/** Stands for a text in the making. */
public interface Generation {
    /** Ends the text before the next step and frees its blocks; without effect on one that has ended. Thread-safe. */
    void cancel();

    /** Returns how many of the prompt's ids were found in the cache; 0 before the text begins. Thread-safe. */
    int cachedPromptTokens();
}
