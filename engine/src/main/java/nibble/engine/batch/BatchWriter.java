package nibble.engine.batch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.engine.LanguageModel;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.attention.CacheType;
import org.jspecify.annotations.Nullable;

/** Writes texts that are wanted all at once, such as the answers to a task's questions. */
public final class BatchWriter {
    private BatchWriter() {}

    /**
     * Writes texts, together where that is faster. Each is the likeliest continuation of its prompt, as {@link
     * LanguageModel#write} gives it; its {@code written} is called when it is whole, before the others are.
     */
    public static void write(LanguageModel model, List<WantedText> texts) {
        if (model instanceof CachedModel cached && !texts.isEmpty()) {
            cached.write(texts);
            return;
        }
        if (texts.size() > 1 && model instanceof Llama llama && gains(llama)) {
            write(llama, texts, llama.backend().textsTogether());
            return;
        }
        for (WantedText text : texts) {
            text.written().accept(model.write(text.prompt(), text.maxNewTokens(), text.stopIds(), text.goesOn()));
        }
    }

    /** Returns whether texts written together take less time than one after another. */
    public static boolean gains(Llama model) {
        return model.backend().gainsByBatching()
                && !model.sharesWithHost()
                && BatchScheduler.contextTokens(model) == model.contextTokens();
    }

    private static void write(Llama model, List<WantedText> texts, int sequences) {
        int longest = longest(texts, model.contextTokens());
        BatchOptions options = BatchOptions.of(model, CacheType.AUTO, sequences, texts.size(), longest);
        try (BatchScheduler scheduler = new BatchScheduler(model, options)) {
            write(model, scheduler, texts);
        }
    }

    /** Returns the most ids that one of the texts can have, its prompt included. */
    static int longest(List<WantedText> texts, int context) {
        int longest = 1;
        for (WantedText text : texts) {
            long wanted = text.prompt().length + (long) text.maxNewTokens();
            longest = Math.max(longest, (int) Math.min(context, wanted));
        }
        return longest;
    }

    /** Writes texts by a scheduler of the model's, which is empty afterwards unless one of them failed. */
    static void write(LanguageModel model, BatchScheduler scheduler, List<WantedText> texts) {
        List<Listener> listeners = new ArrayList<>();
        for (WantedText text : texts) {
            if (text.prompt().length >= model.contextTokens() || text.maxNewTokens() == 0) {
                text.written().accept(model.write(text.prompt(), 0, text.stopIds(), text.goesOn()));
                continue;
            }
            Listener listener = new Listener(text);
            listeners.add(listener);
            scheduler.add(
                    new GenerationRequest(text.prompt(), SamplingOptions.GREEDY, text.maxNewTokens(), text.stopIds()),
                    listener);
        }
        while (scheduler.step()) {
            for (Listener listener : listeners) {
                if (listener.failure != null) {
                    throw listener.failure;
                }
            }
        }
    }

    private static final class Listener implements GenerationListener {
        private final WantedText text;
        private int[] ids = new int[16];
        private int count;
        private @Nullable RuntimeException failure;

        Listener(WantedText text) {
            this.text = text;
        }

        @Override
        public boolean token(ScoredToken token) {
            if (count == ids.length) {
                ids = Arrays.copyOf(ids, 2 * count);
            }
            ids[count++] = token.id();
            return text.goesOn().test(token.id());
        }

        @Override
        public void ended(Ending ending) {
            if (ending != Ending.CANCELLED) {
                text.written().accept(Arrays.copyOf(ids, count));
            }
        }

        @Override
        public void failed(RuntimeException cause) {
            failure = cause;
        }
    }
}
