package nibble.engine.batch;

/**
 * Counts what a service does at one moment, and has done since it began.
 *
 * @param running texts in the batch
 * @param waiting texts in the queue
 * @param usedBlocks blocks of the KV cache that running texts hold
 * @param blocks blocks of the KV cache
 * @param promptTokens ids of prompts of all texts begun
 * @param cachedPromptTokens of these, ids found in the cache
 * @param generatedTokens new ids
 * @param preemptions how often a text gave up its blocks and was computed again later
 * @param steps passes through the model
 */
public record ServiceState(
        int running,
        int waiting,
        int usedBlocks,
        int blocks,
        long promptTokens,
        long cachedPromptTokens,
        long generatedTokens,
        long preemptions,
        long steps) {}
