package nibble.cli.option;

import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.Backend;
import nibble.engine.batch.BatchOptions;
import nibble.files.FileSize;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Holds the options for how many texts are generated at once. */
public final class ServiceOptions {
    /** Tokens of prompts that a step reads beside the running texts' own. */
    private static final int PROMPT_TOKENS = 512;

    @Option(
            names = "--max-context",
            paramLabel = "N",
            description =
                    "Most tokens of a text, its prompt included. Default: as many as the model was made for and the"
                            + " KV cache holds.")
    private @Nullable Integer maxContext;

    @Option(
            names = "--max-sequences",
            paramLabel = "N",
            defaultValue = "16",
            description = "Most texts that are generated at once. Default: ${DEFAULT-VALUE}.")
    private int maxSequences = 16;

    @Option(
            names = "--max-queue",
            paramLabel = "N",
            defaultValue = "256",
            description = "Most texts that wait; further requests get status 429. Default: ${DEFAULT-VALUE}.")
    private int maxQueue = 256;

    @Option(
            names = "--cache-memory",
            paramLabel = "SIZE",
            description =
                    "Most memory of the KV cache, which all texts share; less is taken if less is enough. Default:"
                            + " half of the Java heap, or on a card what the model leaves free.")
    private @Nullable String cacheMemory;

    @Mixin
    private CacheOption cacheType = new CacheOption();

    /** Checks what can be checked without the model. */
    public void check() {
        if (maxContext != null) {
            atLeastOne(maxContext, "--max-context");
        }
        atLeastOne(maxSequences, "--max-sequences");
        atLeastOne(maxQueue, "--max-queue");
        cacheType.type();
        if (cacheMemory != null) {
            bytes(cacheMemory);
        }
    }

    private static void atLeastOne(int value, String option) {
        if (value < 1) {
            throw new UsageException(option + " " + value + ": at least 1");
        }
    }

    private static long bytes(String size) {
        try {
            return FileSize.parse(size);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--cache-memory " + size + ": " + e.getMessage());
        }
    }

    private long bytes(ModelConfig config, Backend backend) {
        if (cacheMemory != null) {
            return bytes(cacheMemory);
        }
        return backend.cacheMemory(config);
    }

    public int maxSequences() {
        return maxSequences;
    }

    /** Returns the most tokens of a text, where the service holds {@code most}. */
    public int context(int most) {
        if (maxContext == null) {
            return most;
        }
        if (maxContext > most) {
            throw new UsageException("--max-context " + maxContext
                    + ": the model and the KV cache (--cache-memory) allow at most " + most);
        }
        return maxContext;
    }

    /**
     * Returns the bounds of the batch: a KV cache for the full length of all texts, as far as the memory goes.
     *
     * @param backend that holds the cache, with the model
     * @param modelContext the most tokens of a text that the model was made for
     */
    public BatchOptions batch(ModelConfig config, Backend backend, int modelContext) {
        long memory = bytes(config, backend);
        long wanted = (long) maxSequences * (maxContext == null ? modelContext : Math.min(maxContext, modelContext));
        int tokens = backend.cacheTokens(config, cacheType.type(), memory, wanted, 0);
        if (tokens < 1) {
            throw new UsageException("--cache-memory " + (cacheMemory == null ? memory + " bytes" : cacheMemory)
                    + ": a token of this model takes " + backend.cacheTokenBytes(config, cacheType.type()) + " bytes");
        }
        return new BatchOptions(maxSequences, maxQueue, tokens, maxSequences + PROMPT_TOKENS, cacheType.type());
    }
}
