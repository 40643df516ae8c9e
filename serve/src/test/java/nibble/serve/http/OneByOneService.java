package nibble.serve.http;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import nibble.engine.Llama;
import nibble.engine.Sampler;
import nibble.engine.Session;
import nibble.engine.batch.Ending;
import nibble.engine.batch.Generation;
import nibble.engine.batch.GenerationListener;
import nibble.engine.batch.GenerationRequest;
import nibble.engine.batch.GenerationService;
import nibble.engine.batch.QueueFullException;
import nibble.engine.batch.ScoredToken;
import nibble.engine.batch.ServiceState;

/** Generates one text after another in the plainest way, for tests of what lies around a service. */
final class OneByOneService implements GenerationService {
    private final Llama model;
    private final int context;
    private final ArrayBlockingQueue<Text> queue;
    private final AtomicInteger running = new AtomicInteger();
    private final AtomicLong prompts = new AtomicLong();
    private final AtomicLong made = new AtomicLong();
    private final Thread thread = new Thread(this::work, "one by one");
    private volatile boolean closed;

    /** Milliseconds to wait before each token, so that tests can look at a text in the making. */
    volatile int pause;

    private static final class Text implements Generation {
        private final GenerationRequest request;
        private final GenerationListener listener;
        private volatile boolean cancelled;

        Text(GenerationRequest request, GenerationListener listener) {
            this.request = request;
            this.listener = listener;
        }

        @Override
        public void cancel() {
            cancelled = true;
        }

        @Override
        public int cachedPromptTokens() {
            return 0;
        }
    }

    OneByOneService(Llama model, int context, int waiting) {
        this.model = model;
        this.context = context;
        queue = new ArrayBlockingQueue<>(waiting);
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public Generation submit(GenerationRequest request, GenerationListener listener) {
        if (closed) {
            throw new IllegalStateException("closed");
        }
        Text text = new Text(request, listener);
        if (!queue.offer(text)) {
            throw new QueueFullException("as many texts wait as may");
        }
        return text;
    }

    private void work() {
        try {
            while (!closed) {
                Text text = queue.take();
                running.incrementAndGet();
                try {
                    text.listener.ended(generate(text));
                } catch (RuntimeException e) {
                    text.listener.failed(e);
                } catch (InterruptedException e) {
                    text.listener.ended(Ending.CANCELLED);
                } finally {
                    running.decrementAndGet();
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private Ending generate(Text text) throws InterruptedException {
        GenerationRequest request = text.request;
        int[] prompt = request.prompt();
        prompts.addAndGet(prompt.length);
        Sampler sampler = new Sampler(request.sampling());
        sampler.observe(prompt);
        try (Session session = model.session(prompt.length + request.maxNewTokens() + 1)) {
            float[] logits = {};
            List<ScoredToken> scored = new ArrayList<>(List.of(ScoredToken.unscored(prompt[0])));
            for (int i = 0; i < prompt.length; i++) {
                if (i > 0 && request.scorePrompt()) {
                    scored.add(score(logits, prompt[i], request.alternatives()));
                }
                logits = session.append(new int[] {prompt[i]});
            }
            if (request.scorePrompt()) {
                text.listener.promptScored(scored);
            }
            for (int i = 0; i < request.maxNewTokens(); i++) {
                Thread.sleep(pause);
                if (text.cancelled || closed) {
                    return Ending.CANCELLED;
                }
                int id = sampler.next(logits);
                if (request.stopIds().contains(id)) {
                    return Ending.STOP;
                }
                made.incrementAndGet();
                ScoredToken token = request.withLogProbabilities()
                        ? score(logits, id, request.alternatives())
                        : ScoredToken.unscored(id);
                if (!text.listener.token(token)) {
                    return Ending.STOP;
                }
                if (i + 1 < request.maxNewTokens()) {
                    logits = session.append(new int[] {id});
                }
            }
            return Ending.LENGTH;
        }
    }

    private static ScoredToken score(float[] logits, int id, int alternatives) {
        double most = Float.NEGATIVE_INFINITY;
        for (float logit : logits) {
            most = Math.max(most, logit);
        }
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - most);
        }
        double norm = most + Math.log(sum);
        int rank = 1;
        for (float logit : logits) {
            rank += logit > logits[id] ? 1 : 0;
        }
        List<ScoredToken.Alternative> likeliest = IntStream.range(0, logits.length)
                .boxed()
                .sorted(Comparator.comparing(i -> -logits[i]))
                .limit(Math.max(0, alternatives))
                .map(i -> new ScoredToken.Alternative(i, (float) (logits[i] - norm)))
                .toList();
        return new ScoredToken(id, (float) (logits[id] - norm), rank, likeliest);
    }

    @Override
    public int contextTokens() {
        return context;
    }

    @Override
    public ServiceState state() {
        return new ServiceState(
                running.get(), queue.size(), running.get(), 1, prompts.get(), 0, made.get(), 0, made.get());
    }

    @Override
    public void drain() throws InterruptedException {
        while (running.get() > 0 || !queue.isEmpty()) {
            Thread.sleep(5);
        }
    }

    @Override
    public void close() {
        closed = true;
        thread.interrupt();
    }
}
