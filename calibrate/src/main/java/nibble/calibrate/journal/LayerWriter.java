package nibble.calibrate.journal;

import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Packs finished layers and hands them to a journal on a thread of its own, so that the next layer is computed
 * meanwhile. One layer may wait; a further one makes its maker wait. Owns its thread.
 */
public final class LayerWriter implements AutoCloseable {
    private sealed interface Item {
        record Layer(Supplier<FinishedLayer> layer) implements Item {}

        record Mark(CountDownLatch reached) implements Item {}

        record End() implements Item {}
    }

    private final LayerJournal journal;
    private final BlockingQueue<Item> queue = new ArrayBlockingQueue<>(1);
    private final Thread thread;
    private volatile @Nullable Throwable failure;
    private volatile long packingNanos;
    private volatile long writingNanos;
    private boolean ended;

    public LayerWriter(LayerJournal journal) {
        this.journal = journal;
        this.thread = Thread.ofPlatform().daemon().name("nibble-writer").start(this::write);
    }

    private void write() {
        while (true) {
            switch (take()) {
                case Item.Layer(Supplier<FinishedLayer> layer) -> append(layer);
                case Item.Mark(CountDownLatch reached) -> reached.countDown();
                case Item.End() -> {
                    return;
                }
            }
        }
    }

    private void append(Supplier<FinishedLayer> layer) {
        if (failure != null) {
            // Layers are durable in order: what follows a failure is dropped, so that nobody waits for ever.
            return;
        }
        long start = System.nanoTime();
        long packed = start;
        try {
            FinishedLayer finished = layer.get();
            packed = System.nanoTime();
            journal.append(finished);
        } catch (RuntimeException | Error e) {
            failure = e;
        }
        packingNanos += packed - start;
        writingNanos += System.nanoTime() - packed;
    }

    /**
     * Hands a layer over, waiting while another waits.
     *
     * @param layer packs it, on the writer's thread
     * @throws RuntimeException what the journal threw for an earlier layer
     */
    public void submit(Supplier<FinishedLayer> layer) {
        throwFailure();
        put(new Item.Layer(layer));
    }

    /**
     * Waits until all layers handed over are durable.
     *
     * @throws RuntimeException what the journal threw
     */
    public void drain() {
        CountDownLatch reached = new CountDownLatch(1);
        put(new Item.Mark(reached));
        boolean interrupted = false;
        while (reached.getCount() > 0) {
            try {
                reached.await();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        restore(interrupted);
        throwFailure();
    }

    /**
     * Waits until all layers handed over are durable, and ends the thread.
     *
     * @throws RuntimeException what the journal threw
     */
    public void finish() {
        close();
        throwFailure();
    }

    /** Returns the time spent packing so far. */
    public double packingSeconds() {
        return packingNanos / 1e9;
    }

    /** Returns the time spent writing so far. */
    public double writingSeconds() {
        return writingNanos / 1e9;
    }

    private void throwFailure() {
        switch (failure) {
            case null -> {}
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case Throwable e -> throw new IllegalStateException(e);
        }
    }

    /** Lets the thread end with what was handed over, and waits for it; throws nothing. */
    @Override
    public void close() {
        if (ended) {
            return;
        }
        ended = true;
        put(new Item.End());
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        restore(interrupted);
    }

    // A layer half handed over helps nobody, so interruption waits until it is done.

    private void put(Item item) {
        boolean interrupted = false;
        while (true) {
            try {
                queue.put(item);
                restore(interrupted);
                return;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
    }

    private Item take() {
        while (true) {
            try {
                return queue.take();
            } catch (InterruptedException e) {
                // Nobody interrupts this thread on purpose.
            }
        }
    }

    private static void restore(boolean interrupted) {
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
