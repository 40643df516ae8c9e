package nibble.engine.backend;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * A fixed number of threads, the caller among them. Owns its threads.
 *
 * <p>Tasks are handed out in order of index to whoever is free; so a task must write only what no other task of the
 * call writes, and nothing then depends on the number of threads.
 */
public final class Workers implements AutoCloseable {
    private static final ThreadLocal<Boolean> INSIDE = ThreadLocal.withInitial(() -> false);
    private final int threads;
    private final @Nullable ExecutorService pool;

    /** @param threads at least 1 */
    public Workers(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException(threads + " threads asked, at least 1 needed");
        }
        this.threads = threads;
        this.pool = threads == 1
                ? null
                : Executors.newFixedThreadPool(
                        threads - 1,
                        Thread.ofPlatform().daemon().name("nibble-", 1).factory());
    }

    public int threads() {
        return threads;
    }

    /**
     * Runs {@code task} for 0 to n-1 and returns when all are done. The first failure stops the handing out and is
     * thrown. A call from inside a task runs on its own thread.
     */
    public void forEach(int n, IntConsumer task) {
        if (pool == null || n <= 1 || INSIDE.get()) {
            for (int i = 0; i < n; i++) {
                task.accept(i);
            }
            return;
        }
        int helpers = Math.min(threads, n) - 1;
        AtomicInteger next = new AtomicInteger();
        AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
        CountDownLatch done = new CountDownLatch(helpers);
        Runnable drain = () -> drain(next, n, task, failure);
        for (int h = 0; h < helpers; h++) {
            pool.execute(() -> {
                try {
                    drain.run();
                } finally {
                    done.countDown();
                }
            });
        }
        drain.run();
        awaitUninterruptibly(done);
        Throwable thrown = failure.get();
        if (thrown instanceof RuntimeException e) {
            throw e;
        }
        if (thrown instanceof Error e) {
            throw e;
        }
    }

    private static void drain(
            AtomicInteger next, int n, IntConsumer task, AtomicReference<@Nullable Throwable> failure) {
        INSIDE.set(true);
        try {
            for (int i = next.getAndIncrement(); i < n && failure.get() == null; i = next.getAndIncrement()) {
                task.accept(i);
            }
        } catch (RuntimeException | Error e) {
            failure.compareAndSet(null, e);
        } finally {
            INSIDE.set(false);
        }
    }

    /** Tasks write into arrays of the caller, which must not get them back while they still do. */
    private static void awaitUninterruptibly(CountDownLatch done) {
        boolean interrupted = false;
        while (true) {
            try {
                done.await();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        if (pool != null) {
            pool.shutdownNow();
        }
    }
}
