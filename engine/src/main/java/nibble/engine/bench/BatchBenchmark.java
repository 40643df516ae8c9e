package nibble.engine.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
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
     */
    public record Settings(
            List<Integer> sequences,
            int context,
            int tokens,
            @Nullable Load load) {}

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

        void requireSound() {
            if (failure != null) {
                throw failure;
            }
        }
    }

    private BatchTimings.Step steps(int sequences) {
        // Texts that began first are ahead by the steps in which the others' prompts were read.
        int most = settings.context() + 2 * (settings.tokens() + WARM_STEPS) + sequences + BatchOptions.BLOCK_TOKENS;
        int promptTokens = Math.max(settings.context(), backend.promptTokensTogether());
        BatchOptions options =
                new BatchOptions(sequences, sequences, Math.multiplyExact(sequences, most), promptTokens + sequences);
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
            double[] seconds = new double[settings.tokens()];
            for (int i = -WARM_STEPS; i < seconds.length; i++) {
                start = System.nanoTime();
                scheduler.step();
                if (i >= 0) {
                    seconds[i] = (System.nanoTime() - start) / 1e9;
                }
            }
            counters.forEach(Counter::requireSound);
            Arrays.sort(seconds);
            return new BatchTimings.Step(
                    sequences,
                    settings.context(),
                    seconds[seconds.length / 2],
                    (double) sequences * settings.context() / read);
        }
    }

    private BatchTimings.Answers answers(Load load) {
        int longest = load.promptTokens() + load.newTokens() * 3 / 2 + BatchOptions.BLOCK_TOKENS;
        int cache = backend.cacheTokens(model.weights().config(), (long) longest * load.sequences(), longest);
        BatchOptions options = new BatchOptions(
                load.sequences(),
                load.prompts(),
                cache,
                Math.max(load.promptTokens(), backend.promptTokensTogether()) + load.sequences());
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
