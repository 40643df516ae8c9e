package nibble.langchain4j;

import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import nibble.datasets.chat.StopIds;
import nibble.engine.Backends;
import nibble.engine.Llama;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.batch.BatchOptions;
import nibble.engine.batch.GenerationService;
import nibble.engine.batch.ThreadedService;

/**
 * Holds a loaded model and the service that generates on it, for any number of {@link LocalChatModel}s and
 * {@link LocalStreamingChatModel}s. They may be used from many threads; their texts are generated together. Owns what
 * it opened until closed.
 */
public final class LocalModel implements AutoCloseable {
    private static final int PROMPT_TOKENS_PER_STEP = 512;

    private final String name;
    private final Deque<AutoCloseable> opened = new ArrayDeque<>();
    private final GenerationService service;
    private final Tokenizer tokenizer;
    private final ChatTemplate template;
    private final SpecialTokens tokens;
    private final Set<Integer> stopIds;
    private final int contextTokens;

    /**
     * Says how a model is loaded.
     *
     * @param device {@code auto}, {@code cpu} or {@code cuda:0}
     * @param threads of the CPU
     * @param template name of a built-in prompt format; empty for the checkpoint's own
     * @param contextTokens most tokens of a text, its prompt included; no more than the model's own
     * @param maxSequences most texts that are generated at once
     * @param maxWaiting most texts that wait; further ones are refused
     * @param cache how the KV cache holds keys and values
     */
    public record Settings(
            String device,
            int threads,
            Optional<String> template,
            int contextTokens,
            int maxSequences,
            int maxWaiting,
            CacheType cache) {
        /** Says how a model is loaded whose KV cache has the device's own precision. */
        public Settings(
                String device,
                int threads,
                Optional<String> template,
                int contextTokens,
                int maxSequences,
                int maxWaiting) {
            this(device, threads, template, contextTokens, maxSequences, maxWaiting, CacheType.AUTO);
        }

        /** Returns the usual settings: any device, all cores, the checkpoint's own format, 4096 tokens. */
        public static Settings usual() {
            return new Settings("auto", Runtime.getRuntime().availableProcessors(), Optional.empty(), 4096, 16, 256);
        }

        /** Returns the same with a built-in prompt format. */
        public Settings withTemplate(String name) {
            return new Settings(device, threads, Optional.of(name), contextTokens, maxSequences, maxWaiting, cache);
        }

        /**
         * Returns the same with keys and values of the KV cache in a type; {@link CacheType#INT8} takes half the memory
         * on a card and a quarter on a CPU, and is less exact.
         */
        public Settings withCache(CacheType type) {
            return new Settings(device, threads, template, contextTokens, maxSequences, maxWaiting, type);
        }
    }

    /**
     * Loads a checkpoint's folder or a GGUF file.
     *
     * @throws BadCheckpointException if it cannot be read, or has neither a chat template nor one named
     */
    public static LocalModel open(Path model, Settings settings) {
        return new LocalModel(model, settings);
    }

    private LocalModel(Path model, Settings settings) {
        this.name = String.valueOf(model.toAbsolutePath().normalize().getFileName());
        boolean whole = false;
        try {
            Checkpoint checkpoint = owned(Checkpoint.open(model));
            TokenizerDescription described = Checkpoint.tokenizer(model)
                    .orElseThrow(() -> new BadCheckpointException(model, "has no tokenizer"));
            this.template = settings.template().map(ChatTemplate::named).orElseGet(() -> own(model, described));
            this.tokens = new SpecialTokens(described.names());
            this.tokenizer = owned(Tokenizers.of(described));
            Backend backend = owned(Backends.open(settings.device(), settings.threads()));
            Llama llama = owned(Llama.load(checkpoint, backend));
            this.stopIds = StopIds.of(checkpoint, described, tokenizer, Optional.of(template));
            this.contextTokens = Math.min(settings.contextTokens(), llama.contextTokens());
            this.service = owned(new ThreadedService(
                    llama,
                    new BatchOptions(
                            settings.maxSequences(),
                            settings.maxWaiting(),
                            cacheTokens(
                                    backend,
                                    llama.weights().config(),
                                    settings.cache(),
                                    contextTokens,
                                    settings.maxSequences()),
                            settings.maxSequences() + PROMPT_TOKENS_PER_STEP,
                            settings.cache())));
            whole = true;
        } finally {
            if (!whole) {
                close();
            }
        }
    }

    /** As many as all texts could need, where memory allows. */
    static int cacheTokens(Backend backend, ModelConfig config, CacheType cache, int contextTokens, int maxSequences) {
        return backend.cacheTokens(config, cache, (long) contextTokens * maxSequences, contextTokens);
    }

    private static ChatTemplate own(Path model, TokenizerDescription described) {
        ChatTemplates templates = ChatTemplates.of(model, new LinkedHashMap<>(described.madeFiles()));
        return templates
                .choose(null, false)
                .map(chosen -> ChatTemplate.of(chosen, templates.sources().getOrDefault(chosen, "")))
                .orElseThrow(() -> new BadCheckpointException(
                        model,
                        "has no chat template of its own; name one of " + String.join(", ", ChatTemplate.names())));
    }

    private <T extends AutoCloseable> T owned(T resource) {
        opened.push(resource);
        return resource;
    }

    /** Returns the name in answers. */
    public String name() {
        return name;
    }

    GenerationService service() {
        return service;
    }

    Tokenizer tokenizer() {
        return tokenizer;
    }

    ChatTemplate template() {
        return template;
    }

    SpecialTokens tokens() {
        return tokens;
    }

    int contextTokens() {
        return Math.min(contextTokens, service.contextTokens());
    }

    Set<Integer> stopIds() {
        return stopIds;
    }

    /** Ends running texts and frees the model. */
    @Override
    public void close() {
        RuntimeException failure = null;
        while (!opened.isEmpty()) {
            try {
                opened.pop().close();
            } catch (Exception e) {
                failure =
                        failure == null ? new IllegalStateException("cannot be closed: " + e.getMessage(), e) : failure;
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
