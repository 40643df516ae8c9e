package nibble.serve.generation;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import nibble.engine.SamplingOptions;
import nibble.engine.batch.Ending;
import nibble.engine.batch.Generation;
import nibble.engine.batch.GenerationListener;
import nibble.engine.batch.GenerationRequest;
import nibble.engine.batch.QueueFullException;
import nibble.engine.batch.ScoredToken;
import nibble.files.Reasons;
import nibble.serve.api.ApiException;
import nibble.serve.api.TextOptions;
import org.jspecify.annotations.Nullable;

/**
 * Holds the texts of one request. The service's thread only queues what happens; the request's thread turns tokens into
 * text in {@link #await}. Closing it cancels what has not ended.
 */
public final class Answers implements AutoCloseable {
    /** What happened to a text; one of the four is there. */
    private record Event(
            int index,
            long nanos,
            @Nullable List<ScoredToken> scored,
            @Nullable ScoredToken token,
            @Nullable Ending ending,
            @Nullable RuntimeException failure) {}

    private final ServedModel model;
    private final Prompts prompts;
    private final ServiceMetrics metrics;
    private final TextOptions options;
    private final List<Answer> answers = new ArrayList<>();
    private final List<Generation> generations = new ArrayList<>();
    private final List<ServiceMetrics.Clock> clocks = new ArrayList<>();
    private final LinkedBlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private int open;

    public Answers(ServedModel model, Prompts prompts, ServiceMetrics metrics, TextOptions options) {
        this.model = model;
        this.prompts = prompts;
        this.metrics = metrics;
        this.options = options;
    }

    /**
     * Says how one prompt is continued.
     *
     * @param alternatives likeliest ids to report with each token; -1 for no log-probabilities
     */
    public record Wanted(int[] prompt, int maxTokens, int alternatives, boolean scorePrompt) {}

    /**
     * Sends the texts of all prompts to the service: all choices of the first one come first.
     *
     * @throws ApiException if the service has no room for all of them; none is generated then
     */
    public void submit(List<Wanted> wanted) {
        long seed = options.seed().orElseGet(() -> ThreadLocalRandom.current().nextLong());
        Set<Integer> stopIds = options.ignoreEos() ? Set.of() : model.stopIds();
        try {
            for (Wanted one : wanted) {
                for (int choice = 0; choice < options.choices(); choice++) {
                    int index = answers.size();
                    answers.add(
                            new Answer(index, one.prompt(), prompts.tokenizer(options.skipSpecialTokens()), options));
                    open++;
                    generations.add(model.service()
                            .submit(
                                    new GenerationRequest(
                                            one.prompt(),
                                            seeded(options.sampling(), seed + choice),
                                            one.maxTokens(),
                                            stopIds,
                                            one.alternatives(),
                                            one.scorePrompt() && choice == 0),
                                    new Listener(index)));
                    clocks.add(metrics.begin(one.prompt().length, one.maxTokens(), options.choices()));
                }
            }
        } catch (QueueFullException e) {
            throw ApiException.busy(Reasons.of(e));
        } catch (IllegalArgumentException e) {
            throw ApiException.invalid(null, Reasons.of(e));
        } catch (IllegalStateException e) {
            throw ApiException.ending();
        }
    }

    private static SamplingOptions seeded(SamplingOptions options, long seed) {
        return new SamplingOptions(
                options.temperature(),
                options.topP(),
                options.topK(),
                options.minP(),
                options.repetitionPenalty(),
                options.frequencyPenalty(),
                options.presencePenalty(),
                seed);
    }

    /** Returns the texts. */
    public List<Answer> all() {
        return answers;
    }

    /** Returns whether all texts have ended. */
    public boolean finished() {
        return open == 0;
    }

    /** Returns the prompts' ids that were found in the cache, each prompt counted once. */
    public int cachedPromptTokens() {
        int cached = 0;
        for (int i = 0; i < generations.size(); i += options.choices()) {
            cached += generations.get(i).cachedPromptTokens();
        }
        return cached;
    }

    /**
     * Waits for the next thing that happens to a text.
     *
     * @return that text, or null if nothing happens in {@code millis}
     * @throws ApiException if a text failed
     */
    public @Nullable Answer await(long millis) throws InterruptedException {
        Event event = events.poll(millis, TimeUnit.MILLISECONDS);
        if (event == null) {
            return null;
        }
        Answer answer = answers.get(event.index());
        if (answer.finish().isPresent()) {
            return answer;
        }
        ServiceMetrics.Clock clock = clocks.get(event.index());
        if (event.failure() != null) {
            throw ApiException.failed("generation failed: " + event.failure().getMessage());
        } else if (event.scored() != null) {
            answer.scored(event.scored());
        } else if (event.token() != null) {
            clock.token(event.nanos());
            if (!answer.add(event.token())) {
                generations.get(event.index()).cancel();
            }
        } else if (event.ending() != null) {
            answer.ended(event.ending());
        }
        answer.finish().ifPresent(finish -> {
            open--;
            clock.ended(finish.reason(), answer.tokens(), event.nanos());
            if (finish.reason().equals("abort")) {
                throw ApiException.ending();
            }
        });
        return answer;
    }

    @Override
    public void close() {
        for (int i = 0; i < answers.size(); i++) {
            if (i < generations.size() && answers.get(i).finish().isEmpty()) {
                generations.get(i).cancel();
                clocks.get(i).ended("abort", answers.get(i).tokens(), System.nanoTime());
            }
        }
    }

    /** Queues; never blocks. */
    private final class Listener implements GenerationListener {
        private final int index;

        Listener(int index) {
            this.index = index;
        }

        private void happened(
                @Nullable List<ScoredToken> scored,
                @Nullable ScoredToken token,
                @Nullable Ending ending,
                @Nullable RuntimeException failure) {
            events.add(new Event(index, System.nanoTime(), scored, token, ending, failure));
        }

        @Override
        public void promptScored(List<ScoredToken> prompt) {
            happened(prompt, null, null, null);
        }

        @Override
        public boolean token(ScoredToken token) {
            happened(null, token, null, null);
            return !options.stopTokenIds().contains(token.id());
        }

        @Override
        public void ended(Ending ending) {
            happened(null, null, ending, null);
        }

        @Override
        public void failed(RuntimeException cause) {
            happened(null, null, null, cause);
        }
    }
}
