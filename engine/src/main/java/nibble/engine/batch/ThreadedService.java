package nibble.engine.batch;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.Llama;
import org.jspecify.annotations.Nullable;

/** Runs a {@link BatchScheduler} on a thread of its own. Borrows the model, which no other thread may use meanwhile. */
public final class ThreadedService implements GenerationService {
    private final Object lock = new Object();
    private final Llama model;
    private final BatchOptions options;
    private final BatchScheduler scheduler;
    private final int contextTokens;
    private final Thread thread;
    /** Texts that were submitted and that the thread has not seen yet. */
    private List<RunningText> arriving = new ArrayList<>();

    /** Texts that were submitted and whose listeners have not heard of an end. */
    private int texts;

    private ServiceState state;
    private boolean draining;
    private boolean closed;
    private boolean wake;

    /** Allocates the KV cache and starts the thread. */
    public ThreadedService(Llama model, BatchOptions options) {
        this.model = model;
        this.options = options;
        this.scheduler = new BatchScheduler(model, options);
        this.contextTokens = scheduler.contextTokens();
        this.state = scheduler.state();
        this.thread = Thread.ofPlatform().name("nibble-batch").daemon().unstarted(this::work);
        thread.start();
    }

    @Override
    public Generation submit(GenerationRequest request, GenerationListener listener) {
        scheduler.check(request);
        RunningText text = new RunningText(request, new Counted(listener), this::wake);
        synchronized (lock) {
            if (closed || draining) {
                throw new IllegalStateException("the service takes no more texts: it is being closed");
            }
            // Those that wait move on only between steps, so running and waiting texts are counted together.
            if (texts >= options.maxTexts()) {
                throw new QueueFullException(
                        texts + " texts run or wait already, at most " + options.maxTexts() + " may; try again later");
            }
            texts++;
            arriving.add(text);
            wake = true;
            lock.notifyAll();
        }
        return text;
    }

    private void wake() {
        synchronized (lock) {
            wake = true;
            lock.notifyAll();
        }
    }

    @Override
    public int contextTokens() {
        return contextTokens;
    }

    @Override
    public ServiceState state() {
        synchronized (lock) {
            ServiceState s = state;
            return new ServiceState(
                    s.running(),
                    s.waiting() + arriving.size(),
                    s.usedBlocks(),
                    s.blocks(),
                    s.promptTokens(),
                    s.cachedPromptTokens(),
                    s.generatedTokens(),
                    s.preemptions(),
                    s.steps());
        }
    }

    private void work() {
        model.backend().makeCurrent();
        @Nullable RuntimeException failure = null;
        try {
            while (admit()) {
                boolean worked = scheduler.step();
                synchronized (lock) {
                    state = scheduler.state();
                    wake |= worked;
                    lock.notifyAll();
                }
            }
        } catch (RuntimeException e) {
            failure = e;
        }
        List<RunningText> left;
        synchronized (lock) {
            closed = true;
            left = arriving;
            arriving = new ArrayList<>();
        }
        scheduler.close();
        for (RunningText text : left) {
            if (failure == null) {
                text.listener.ended(Ending.CANCELLED);
            } else {
                text.listener.failed(failure);
            }
        }
        synchronized (lock) {
            state = scheduler.state();
            lock.notifyAll();
        }
    }

    /** Waits for something to do, and queues the texts that came; false when the service is closed. */
    private boolean admit() {
        synchronized (lock) {
            while (!wake && arriving.isEmpty() && !closed) {
                try {
                    lock.wait();
                } catch (InterruptedException e) {
                    closed = true;
                }
            }
            wake = false;
            if (closed) {
                return false;
            }
            arriving.forEach(scheduler::add);
            arriving.clear();
            state = scheduler.state();
        }
        return true;
    }

    @Override
    public void drain() throws InterruptedException {
        synchronized (lock) {
            draining = true;
            while (!closed && (!arriving.isEmpty() || state.running() + state.waiting() > 0)) {
                lock.wait();
            }
        }
    }

    @Override
    public void close() {
        synchronized (lock) {
            closed = true;
            lock.notifyAll();
        }
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Gives a text's place to others before its client hears of the end, and may send the next one. */
    private final class Counted implements GenerationListener {
        private final GenerationListener client;
        private boolean counted = true;

        Counted(GenerationListener client) {
            this.client = client;
        }

        @Override
        public void promptScored(List<ScoredToken> prompt) {
            client.promptScored(prompt);
        }

        @Override
        public boolean token(ScoredToken token) {
            return client.token(token);
        }

        @Override
        public void ended(Ending ending) {
            leave();
            client.ended(ending);
        }

        @Override
        public void failed(RuntimeException cause) {
            leave();
            client.failed(cause);
        }

        /** A client that fails over its text's end hears of that failure too. */
        private void leave() {
            synchronized (lock) {
                texts -= counted ? 1 : 0;
                counted = false;
            }
        }
    }
}
