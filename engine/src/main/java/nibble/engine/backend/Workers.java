package nibble.engine.backend;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Runs tasks on a fixed number of threads, the caller among them. Owns its threads.
 *
 * <p>Tasks are handed out in order of index to whoever is free; so a task must write only what no other task of the
 * call writes, and nothing then depends on the number of threads.
 *
 * <p>A generated token is some hundred calls of a few microseconds each. Helpers therefore look for the next call for a
 * while before they sleep, and a call does not wait for a helper that has not begun.
 */
public final class Workers implements AutoCloseable {
    private static final ThreadLocal<Boolean> INSIDE = ThreadLocal.withInitial(() -> false);

    /** How long a helper looks for work before it sleeps: the serial work between two calls of a token takes less. */
    private static final long AWAKE_NANOS = 200_000;

    /** Looks between two readings of the clock. */
    private static final int LOOKS = 64;

    /** Calls from different threads that helpers can serve at once; further ones run on their own thread. */
    private static final int CALLS = 4;

    private final int threads;
    private final AtomicReferenceArray<@Nullable Call> calls = new AtomicReferenceArray<>(CALLS);
    private final Member[] helpers;
    private volatile boolean closed;

    /**
     * Starts the threads.
     *
     * @param threads at least 1
     */
    public Workers(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException(threads + " threads asked, at least 1 needed");
        }
        this.threads = threads;
        this.helpers = new Member[threads - 1];
        for (int i = 0; i < helpers.length; i++) {
            helpers[i] = new Member(i + 1);
        }
        for (Member helper : helpers) {
            helper.thread.start();
        }
    }

    /** Starts as many workers as the machine has processors. */
    public static Workers ofMachine() {
        return new Workers(Runtime.getRuntime().availableProcessors());
    }

    public int threads() {
        return threads;
    }

    /**
     * Runs {@code task} for 0 to n-1 and returns when all are done. The first failure stops the handing out and is
     * thrown. A call from inside a task runs on its own thread.
     */
    public void forEach(int n, IntConsumer task) {
        call(n, 1, (from, to) -> {
            for (int i = from; i < to; i++) {
                task.accept(i);
            }
        });
    }

    /**
     * Does what {@link #forEach} does, but hands out runs of tasks: each thread begins with tasks of its own, so that
     * memory that follows one another is read in order, and by few calls. A thread that is through takes over others'
     * tasks. Runs become shorter towards the end.
     */
    public void forEachRun(int n, Run run) {
        call(n, threads, run);
    }

    /** Does the tasks of a run. */
    public interface Run {
        /** Does tasks {@code from} to {@code to - 1}. */
        void accept(int from, int to);
    }

    private void call(int n, int parts, Run run) {
        if (helpers.length == 0 || n <= 1 || INSIDE.get()) {
            run.accept(0, n);
            return;
        }
        Call call = new Call(n, parts, run);
        int slot = 0;
        while (!calls.compareAndSet(slot, null, call)) {
            if (++slot == CALLS) {
                run.accept(0, n);
                return;
            }
        }
        for (int i = 0; i < Math.min(helpers.length, n - 1); i++) {
            helpers[i].wake();
        }
        try {
            call.drain(0);
        } finally {
            calls.set(slot, null);
            call.awaitHelpers();
        }
        call.rethrow();
    }

    @Override
    public void close() {
        closed = true;
        for (Member helper : helpers) {
            LockSupport.unpark(helper.thread);
        }
    }

    /** One call of {@link #forEach}. */
    private static final class Call {
        private static final int CLOSED = 1 << 30;

        /** Longs between two counters that different threads count: they share no line of the cache. */
        private static final int APART = 16;

        private final int n;
        private final int parts;
        private final Run run;
        private final Thread caller = Thread.currentThread();
        /** The next task of each part. */
        private final AtomicIntegerArray next;

        private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
        /** Helpers that have come, and {@link #CLOSED} once none may come any more. */
        private final AtomicInteger come = new AtomicInteger();

        private final AtomicInteger gone = new AtomicInteger();
        private volatile boolean waits;

        Call(int n, int parts, Run run) {
            this.n = n;
            this.parts = parts;
            this.run = run;
            this.next = new AtomicIntegerArray(parts * APART);
            for (int part = 0; part < parts; part++) {
                next.setPlain(part * APART, begin(part));
            }
        }

        private int begin(int part) {
            return (int) ((long) n * part / parts);
        }

        private boolean isHandedOut() {
            for (int part = 0; part < parts; part++) {
                if (next.get(part * APART) < begin(part + 1)) {
                    return false;
                }
            }
            return true;
        }

        /** A helper's share; nothing where all tasks are handed out. */
        boolean help(int helper) {
            if (failure.get() != null || isHandedOut()) {
                return false;
            }
            int found = come.get();
            while ((found & CLOSED) == 0) {
                if (come.compareAndSet(found, found + 1)) {
                    drain(helper);
                    gone.incrementAndGet();
                    if (waits) {
                        LockSupport.unpark(caller);
                    }
                    return true;
                }
                found = come.get();
            }
            return false;
        }

        void drain(int thread) {
            INSIDE.set(true);
            try {
                for (int part = 0; part < parts; part++) {
                    drainPart((thread + part) % parts);
                }
            } catch (RuntimeException | Error e) {
                failure.compareAndSet(null, e);
            } finally {
                INSIDE.set(false);
            }
        }

        /** One part's tasks come singly; a thread's own part in runs of a third of what is left. */
        private void drainPart(int part) {
            int end = begin(part + 1);
            int at = part * APART;
            while (failure.get() == null) {
                int first = next.get(at);
                int count = parts == 1 ? 1 : (end - first + 1) / 2;
                if (first >= end) {
                    return;
                }
                if (next.compareAndSet(at, first, first + count)) {
                    run.accept(first, first + count);
                }
            }
        }

        /** Tasks write into arrays of the caller, which must not get them back while they still do. */
        void awaitHelpers() {
            int helping = come.getAndUpdate(now -> now | CLOSED);
            boolean interrupted = false;
            long begin = 0;
            for (int looks = 0; gone.get() < helping; looks++) {
                if (looks % LOOKS != LOOKS - 1) {
                    Thread.onSpinWait();
                } else if (begin == 0) {
                    begin = System.nanoTime();
                } else if (!waits) {
                    Thread.yield();
                    waits = System.nanoTime() - begin > AWAKE_NANOS;
                } else {
                    LockSupport.park(this);
                    interrupted |= Thread.interrupted();
                }
            }
            if (interrupted) {
                caller.interrupt();
            }
        }

        void rethrow() {
            Throwable thrown = failure.get();
            if (thrown instanceof RuntimeException e) {
                throw e;
            }
            if (thrown instanceof Error e) {
                throw e;
            }
        }
    }

    private final class Member implements Runnable {
        final Thread thread;
        private final int number;
        private volatile boolean asleep;

        Member(int number) {
            this.number = number;
            thread = Thread.ofPlatform().daemon().name("nibble-" + number).unstarted(this);
        }

        void wake() {
            if (asleep) {
                LockSupport.unpark(thread);
            }
        }

        @Override
        public void run() {
            while (!closed) {
                if (!helpAny() && !lookForWork()) {
                    asleep = true;
                    // A call that came before it could see that this sleeps wakes nobody: look once more.
                    if (!helpAny() && !closed) {
                        LockSupport.park(Workers.this);
                    }
                    asleep = false;
                }
            }
        }

        /** Whether a call came within the time that a helper stays awake. */
        private boolean lookForWork() {
            long begin = System.nanoTime();
            do {
                for (int i = 0; i < LOOKS; i++) {
                    if (helpAny()) {
                        return true;
                    }
                    Thread.onSpinWait();
                }
                Thread.yield();
            } while (System.nanoTime() - begin < AWAKE_NANOS && !closed);
            return false;
        }

        private boolean helpAny() {
            for (int slot = 0; slot < CALLS; slot++) {
                Call call = calls.get(slot);
                if (call != null && call.help(number)) {
                    return true;
                }
            }
            return false;
        }
    }
}
