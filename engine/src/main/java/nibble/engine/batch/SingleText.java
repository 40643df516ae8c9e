package nibble.engine.batch;

import java.util.Set;
import java.util.function.IntPredicate;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.attention.CacheType;
import org.jspecify.annotations.Nullable;

/** Generates one text with a KV cache of a type that only batches have. */
public final class SingleText {
    private SingleText() {}

    /**
     * Generates ids until the text ends.
     *
     * @param goesOn sees each id, and says whether the text goes on
     */
    public static void generateWhile(
            Llama model,
            CacheType type,
            int[] prompt,
            SamplingOptions sampling,
            int maxNewTokens,
            Set<Integer> stopIds,
            IntPredicate goesOn) {
        int longest = (int) Math.min(BatchScheduler.contextTokens(model), prompt.length + (long) maxNewTokens);
        Listener listener = new Listener(goesOn);
        try (BatchScheduler scheduler = new BatchScheduler(model, BatchOptions.of(model, type, 1, 1, longest))) {
            scheduler.add(new GenerationRequest(prompt, sampling, maxNewTokens, stopIds), listener);
            scheduler.run();
        }
        if (listener.failure != null) {
            throw listener.failure;
        }
    }

    private static final class Listener implements GenerationListener {
        private final IntPredicate goesOn;
        private @Nullable RuntimeException failure;

        Listener(IntPredicate goesOn) {
            this.goesOn = goesOn;
        }

        @Override
        public boolean token(ScoredToken token) {
            return goesOn.test(token.id());
        }

        @Override
        public void ended(Ending ending) {}

        @Override
        public void failed(RuntimeException cause) {
            failure = cause;
        }
    }
}
