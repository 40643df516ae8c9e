package nibble.engine.batch;

import nibble.engine.Llama;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;

/**
 * Bounds a batch.
 *
 * @param maxSequences most texts that run together
 * @param maxWaiting most texts that wait; further ones are rejected
 * @param cacheTokens tokens of the KV cache, shared by all texts; rounded up to whole blocks
 * @param tokensPerStep most tokens of one pass: a long prompt is read in pieces between other texts' tokens
 * @param cacheType how the KV cache holds keys and values
 */
public record BatchOptions(int maxSequences, int maxWaiting, int cacheTokens, int tokensPerStep, CacheType cacheType) {
    /** Tokens of a block of the KV cache. */
    public static final int BLOCK_TOKENS = 16;

    public BatchOptions {
        atLeastOne(maxSequences, "sequences");
        atLeastOne(maxWaiting, "waiting texts");
        atLeastOne(cacheTokens, "tokens of KV cache");
        if (tokensPerStep < maxSequences) {
            throw new IllegalArgumentException(tokensPerStep + " tokens in a step for " + maxSequences
                    + " sequences; each running sequence needs one");
        }
    }

    /** Bounds a batch whose cache has the device's own precision. */
    public BatchOptions(int maxSequences, int maxWaiting, int cacheTokens, int tokensPerStep) {
        this(maxSequences, maxWaiting, cacheTokens, tokensPerStep, CacheType.AUTO);
    }

    /**
     * Returns the bounds for texts that are wanted all at once. The cache has room for as many of the longest as run
     * together, as far as memory allows. A pass takes as many tokens of prompts as the device reads best. A longer
     * prompt is read in pieces: on a card, the cache leaves no memory for a longer pass.
     *
     * @param sequences most texts that run together
     * @param texts that are wanted, at least 1
     * @param longest ids of the longest text, its prompt included
     */
    public static BatchOptions of(Llama model, CacheType type, int sequences, int texts, int longest) {
        Backend backend = model.backend();
        int together = Math.min(sequences, texts);
        int room = Math.addExact(longest, BLOCK_TOKENS);
        int cache = backend.cacheTokens(model.weights().config(), type, (long) together * room, room);
        return new BatchOptions(together, texts, cache, backend.promptTokensTogether() + together, type);
    }

    private static void atLeastOne(int value, String what) {
        if (value < 1) {
            throw new IllegalArgumentException(value + " " + what + " asked, at least 1 needed");
        }
    }

    /** Returns the most texts that run and wait. */
    public int maxTexts() {
        return (int) Math.min(Integer.MAX_VALUE, (long) maxSequences + maxWaiting);
    }

    /** Returns the blocks of the KV cache. */
    public int blocks() {
        return Math.ceilDiv(cacheTokens, BLOCK_TOKENS);
    }
}
