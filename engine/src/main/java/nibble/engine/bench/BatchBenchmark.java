package nibble.engine.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.batch.BatchOptions;
import nibble.engine.batch.BatchScheduler;
import nibble.engine.batch.Ending;
import nibble.engine.batch.GenerationListener;
import nibble.engine.batch.GenerationRequest;
import nibble.engine.batch.ScoredToken;
import org.jspecify.annotations.Nullable;

/** Times many sequences at once on random ids: steps of next tokens, and a load of prompts with their answers. */
public final class BatchBenchmark {
    /** Steps that are not timed: a card records a step of each number of rows once. */
    private static final int WARM_STEPS = 6;

    /**
     * Says what to time.
     *
     * @param sequences numbers of sequences, each by itself
     * @param context tokens of each sequence
     * @param tokens next tokens of each that are timed
     * @param load null for none
     * @param cache how the KV cache holds keys and values
     */
    public record Settings(
            List<Integer> sequences,
            int context,
            int tokens,
            @Nullable Load load,
            CacheType cache) {}

    /**
     * Names prompts to answer, together as many as {@code sequences}.
     *
     * @param promptTokens of each prompt
     * @param newTokens of an answer on average; each has half to one and a half of it
     */
    public record Load(int prompts, int sequences, int promptTokens, int newTokens) {}

    private final Llama model;
    private final Backend backend;
    private final Settings settings;
    private final Random random = new Random(11);

    private BatchBenchmark(Llama model, Settings settings) {
        this.model = model;
        this.backend = model.backend();
        this.settings = settings;
    }

    /** Runs it. */
    public static BatchTimings run(Llama model, Settings settings) {
        return new BatchBenchmark(model, settings).run();
    }

    private BatchTimings run() {
        List<BatchTimings.Step> steps = new ArrayList<>();
        for (int sequences : settings.sequences()) {
            steps.add(steps(sequences));
        }
        Load load = settings.load();
        return new BatchTimings(
                backend.description(), steps, load == null ? null : answers(load), backend.peakDeviceBytes());
    }

    private GenerationRequest request(int promptTokens, int newTokens) {
        int[] prompt = random.ints(promptTokens, 0, model.vocabularySize()).toArray();
        return new GenerationRequest(prompt, SamplingOptions.GREEDY, newTokens, Set.of());
    }

    /** Counts what its text gets. */
    private static final class Counter implements GenerationListener {
        private int tokens;
        private int seen;
        private @Nullable RuntimeException failure;

        @Override
        public boolean token(ScoredToken token) {
            tokens++;
            return true;
        }

        @Override
        public void ended(Ending ending) {}

        @Override
        public void failed(RuntimeException cause) {
            failure = cause;
        }

        /** Begins to count single steps. */
        void begin() {
            seen = tokens;
        }

        /** Requires that its text got a token since the last call: a step without it is not the step to time. */
        void requireNext() {
            requireSound();
            if (tokens != seen + 1) {
                throw new IllegalStateException("a sequence got " + (tokens - seen) + " tokens in a step that is"
                        + " timed, 1 expected, after " + tokens + " of its own: its text ended or gave up its place in"
                        + " the cache; time fewer tokens or sequences, or a shorter context");
            }
            seen = tokens;
        }

        void requireSound() {
            if (failure != null) {
                throw failure;
            }
        }
    }

    private BatchTimings.Step steps(int sequences) {
        int promptTokens = backend.promptTokensTogether();
        // Texts that began first are ahead by the steps in which the others' prompts were read.
        int ahead = Math.ceilDiv(Math.multiplyExact(sequences, settings.context()), promptTokens);
        int most = settings.context() + 2 * (settings.tokens() + WARM_STEPS) + ahead + BatchOptions.BLOCK_TOKENS;
        BatchOptions options = new BatchOptions(
                sequences, sequences, Math.multiplyExact(sequences, most), promptTokens + sequences, settings.cache());
        try (BatchScheduler scheduler = new BatchScheduler(model, options)) {
            List<Counter> counters = new ArrayList<>();
            for (int i = 0; i < sequences; i++) {
                counters.add(new Counter());
                scheduler.add(request(settings.context(), most - settings.context()), counters.getLast());
            }
            long start = System.nanoTime();
            while (counters.stream().anyMatch(counter -> counter.tokens == 0)) {
                scheduler.step();
                counters.forEach(Counter::requireSound);
            }
            double read = (System.nanoTime() - start) / 1e9;
            counters.forEach(Counter::begin);
            double[] seconds = new double[settings.tokens()];
            for (int i = -WARM_STEPS; i < seconds.length; i++) {
                start = System.nanoTime();
                scheduler.step();
                double taken = (System.nanoTime() - start) / 1e9;
                counters.forEach(Counter::requireNext);
                if (i >= 0) {
                    seconds[i] = taken;
                }
            }
            Arrays.sort(seconds);
            return new BatchTimings.Step(
                    sequences,
                    settings.context(),
                    seconds[seconds.length / 2],
                    (double) sequences * settings.context() / read);
        }
    }

    private BatchTimings.Answers answers(Load load) {
        int longest = load.promptTokens() + load.newTokens() * 3 / 2;
        BatchOptions options = BatchOptions.of(model, settings.cache(), load.sequences(), load.prompts(), longest);
        try (BatchScheduler scheduler = new BatchScheduler(model, options)) {
            List<Counter> counters = new ArrayList<>();
            for (int i = 0; i < load.prompts(); i++) {
                counters.add(new Counter());
                int newTokens = Math.max(1, load.newTokens() / 2 + random.nextInt(load.newTokens() + 1));
                scheduler.add(request(load.promptTokens(), newTokens), counters.getLast());
            }
            int[] seen = new int[load.prompts()];
            int[] waited = new int[load.prompts()];
            int longestWait = 0;
            long start = System.nanoTime();
            while (scheduler.step()) {
                for (int i = 0; i < seen.length; i++) {
                    int now = counters.get(i).tokens;
                    waited[i] = seen[i] == 0 || now > seen[i] ? 1 : waited[i] + 1;
                    if (now > seen[i]) {
                        longestWait = Math.max(longestWait, waited[i]);
                    }
                    seen[i] = now;
                }
            }
            double seconds = (System.nanoTime() - start) / 1e9;
            counters.forEach(Counter::requireSound);
            return new BatchTimings.Answers(
                    load.prompts(),
                    load.sequences(),
                    scheduler.state().promptTokens(),
                    scheduler.state().generatedTokens(),
                    scheduler.state().preemptions(),
                    longestWait,
                    seconds);
        }
    }
}
