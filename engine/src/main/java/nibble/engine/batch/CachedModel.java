package nibble.engine.batch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import nibble.engine.Continuation;
import nibble.engine.ForwardCost;
import nibble.engine.LanguageModel;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.ScoredContinuations;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import org.jspecify.annotations.Nullable;

/**
 * Holds a model whose texts all go through a KV cache of a type, as a server computes them: each token sees keys and
 * values as the cache holds them, its own included. Texts of a run share one cache. Borrows the model; used by one
 * thread at a time.
 */
public final class CachedModel implements LanguageModel {
    /** One text at a time, in pieces of as many tokens as the server reads of prompts. */
    private static final Steps WINDOWS = new Steps(1, 512);

    private final Llama model;
    private final CacheType type;
    private @Nullable BatchScheduler scheduler;
    private Steps steps = WINDOWS;
    private int cacheTokens;

    /** Bounds the steps of a scheduler: texts that run together, and tokens of a pass. */
    private record Steps(int sequences, int tokens) {}

    public CachedModel(Llama model, CacheType type) {
        this.model = model;
        this.type = type;
    }

    @Override
    public float[] logProbabilities(int[] ids) {
        Scores scores = new Scores();
        run(
                scheduler(WINDOWS, 1, ids.length),
                List.of(new GenerationRequest(ids, SamplingOptions.GREEDY, 0, Set.of(), 0, true)),
                List.of(scores));
        float[] values = new float[ids.length - 1];
        for (int i = 0; i < values.length; i++) {
            values[i] = scores.prompt.get(i + 1).logProbability();
        }
        return values;
    }

    @Override
    public ScoredContinuations score(List<Continuation> continuations) {
        int longest = continuations.stream().mapToInt(c -> c.ids().length).max().orElse(1);
        BatchScheduler batch = schedulerOf(continuations.size(), longest);
        ScoredContinuations.Score[] found = new ScoredContinuations.Score[continuations.size()];
        long tokens = 0;
        double flops = 0;
        for (List<Integer> round : Rounds.of(continuations)) {
            List<Continuation> asked = round.stream().map(continuations::get).toList();
            List<Scores> heard = asked.stream().map(_ -> new Scores()).toList();
            List<Generation> texts =
                    run(batch, asked.stream().map(CachedModel::request).toList(), heard);
            for (int i = 0; i < asked.size(); i++) {
                Continuation one = asked.get(i);
                found[round.get(i)] = score(one, heard.get(i).prompt);
                int cached = texts.get(i).cachedPromptTokens();
                tokens += one.ids().length - cached;
                flops += ForwardCost.flops(
                        model.weights().config(),
                        IntStream.range(cached, one.ids().length).toArray(),
                        one.scored() + 1);
            }
        }
        return new ScoredContinuations(Arrays.asList(found), tokens, flops);
    }

    private static GenerationRequest request(Continuation continuation) {
        int[] ids = continuation.ids();
        return new GenerationRequest(ids, SamplingOptions.GREEDY, 0, Set.of(), 1, ids.length - continuation.scored());
    }

    private static ScoredContinuations.Score score(Continuation continuation, List<ScoredToken> prompt) {
        List<ScoredToken> scored = prompt.subList(prompt.size() - continuation.scored(), prompt.size());
        float[] values = new float[scored.size()];
        boolean greedy = true;
        for (int i = 0; i < values.length; i++) {
            ScoredToken token = scored.get(i);
            values[i] = token.logProbability();
            greedy &= token.alternatives().getFirst().id() == token.id();
        }
        return new ScoredContinuations.Score(values, greedy);
    }

    /** Runs texts to their ends; if one fails, the others and what the cache holds are dropped. */
    private List<Generation> run(BatchScheduler batch, List<GenerationRequest> requests, List<Scores> heard) {
        List<Generation> texts = new ArrayList<>();
        boolean whole = false;
        try {
            for (int i = 0; i < requests.size(); i++) {
                texts.add(batch.add(requests.get(i), heard.get(i)));
            }
            batch.run();
            for (Scores one : heard) {
                if (one.failure != null) {
                    throw one.failure;
                }
            }
            whole = true;
        } finally {
            if (!whole) {
                close();
            }
        }
        return texts;
    }

    @Override
    public int[] write(int[] prompt, int maxNewTokens, Set<Integer> stopIds, IntPredicate goesOn) {
        int[][] found = {{}};
        if (prompt.length > contextTokens()) {
            throw new IllegalArgumentException("context overflow: prompt of " + prompt.length + " tokens, at most "
                    + contextTokens() + " fit the cache");
        }
        if (maxNewTokens > 0) {
            write(List.of(new WantedText(prompt, maxNewTokens, stopIds, goesOn, ids -> found[0] = ids)));
        }
        return found[0];
    }

    /** Writes texts, together where that is faster; {@link BatchWriter} has what each becomes. */
    void write(List<WantedText> texts) {
        if (model.backend().gainsByBatching()) {
            writeTogether(texts);
        } else {
            texts.forEach(text -> writeTogether(List.of(text)));
        }
    }

    private void writeTogether(List<WantedText> texts) {
        boolean whole = false;
        try {
            BatchWriter.write(this, schedulerOf(texts.size(), BatchWriter.longest(texts, contextTokens())), texts);
            whole = true;
        } finally {
            if (!whole) {
                close();
            }
        }
    }

    /** Returns a scheduler whose steps depend on the texts of one call alone, not on those before it. */
    private BatchScheduler schedulerOf(int texts, int longest) {
        Backend backend = model.backend();
        int most = backend.textsTogether();
        return scheduler(new Steps(most, backend.promptTokensTogether() + most), Math.min(texts, most), longest);
    }

    /** Returns the scheduler that is there if its cache is large enough, otherwise a larger one. */
    private BatchScheduler scheduler(Steps asked, int together, int longest) {
        int room = Math.addExact(Math.min(longest, contextTokens()), BatchOptions.BLOCK_TOKENS);
        int wanted = model.backend()
                .cacheTokens(model.weights().config(), type, Math.max(cacheTokens, (long) together * room), room);
        BatchScheduler now = scheduler;
        if (now != null && asked.equals(steps) && cacheTokens >= wanted) {
            now.forget();
            return now;
        }
        close();
        BatchScheduler made = new BatchScheduler(
                model, new BatchOptions(asked.sequences(), Integer.MAX_VALUE, wanted, asked.tokens(), type));
        scheduler = made;
        steps = asked;
        cacheTokens = wanted;
        return made;
    }

    @Override
    public int contextTokens() {
        return BatchScheduler.contextTokens(model);
    }

    @Override
    public int vocabularySize() {
        return model.vocabularySize();
    }

    @Override
    public int tokensPerPass() {
        return model.tokensPerPass();
    }

    /** Frees the cache; the next text gets another. */
    @Override
    public void close() {
        BatchScheduler now = scheduler;
        scheduler = null;
        cacheTokens = 0;
        if (now != null) {
            now.close();
        }
    }

    private static final class Scores implements GenerationListener {
        private List<ScoredToken> prompt = List.of();
        private @Nullable RuntimeException failure;

        @Override
        public void promptScored(List<ScoredToken> scored) {
            prompt = scored;
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
