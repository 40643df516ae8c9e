package nibble.engine.batch;

import java.util.List;
import java.util.Set;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.ScoringModel;
import nibble.engine.attention.CacheType;
import org.jspecify.annotations.Nullable;

/**
 * Scores texts through a KV cache of a type, as a server computes prompts: each token sees keys and values as the cache
 * holds them, its own included.
 */
public record CachedScoring(Llama model, CacheType type) implements ScoringModel {
    /** Tokens of a pass: as many as the server reads of prompts. */
    private static final int TOKENS_PER_PASS = 512;

    @Override
    public float[] logProbabilities(int[] ids) {
        Scores scores = new Scores(ids.length - 1);
        BatchOptions options = new BatchOptions(1, 1, ids.length, TOKENS_PER_PASS, type);
        try (BatchScheduler scheduler = new BatchScheduler(model, options)) {
            scheduler.add(new GenerationRequest(ids, SamplingOptions.GREEDY, 0, Set.of(), 0, true), scores);
            scheduler.run();
        }
        if (scores.failure != null) {
            throw scores.failure;
        }
        return scores.values;
    }

    @Override
    public int contextTokens() {
        return BatchScheduler.contextTokens(model);
    }

    @Override
    public int vocabularySize() {
        return model.vocabularySize();
    }

    private static final class Scores implements GenerationListener {
        private final float[] values;
        private @Nullable RuntimeException failure;

        Scores(int count) {
            this.values = new float[count];
        }

        @Override
        public void promptScored(List<ScoredToken> prompt) {
            for (int i = 0; i < values.length; i++) {
                values[i] = prompt.get(i + 1).logProbability();
            }
        }

        @Override
        public boolean token(ScoredToken token) {
            return true;
        }

        @Override
        public void ended(Ending ending) {}

        @Override
        public void failed(RuntimeException cause) {
            failure = cause;
        }
    }
}
