package nibble.hub.client;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import nibble.files.Reasons;

/** Bounds transfers at a time, over all files and their parts; the first failure stops its siblings. */
public final class TransferSlots {
    private final Semaphore free;

    public TransferSlots(int transfers) {
        free = new Semaphore(Math.max(1, transfers));
    }

    /** Runs tasks that each take one slot; results in the tasks' order. */
    public <T> List<T> run(List<Callable<T>> tasks) {
        return all(tasks.stream().<Callable<T>>map(task -> () -> inSlot(task)).toList());
    }

    private <T> T inSlot(Callable<T> task) throws Exception {
        free.acquire();
        try {
            return task.call();
        } finally {
            free.release();
        }
    }

    /** Runs tasks at the same time, on threads that mostly wait; results in the tasks' order. */
    public static <T> List<T> all(List<Callable<T>> tasks) {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            CompletionService<T> finished = new ExecutorCompletionService<>(threads);
            List<Future<T>> running = new ArrayList<>();
            tasks.forEach(task -> running.add(finished.submit(task)));
            try {
                for (int i = 0; i < tasks.size(); i++) {
                    finished.take().get();
                }
                List<T> results = new ArrayList<>();
                for (Future<T> one : running) {
                    results.add(one.resultNow());
                }
                return results;
            } catch (ExecutionException e) {
                threads.shutdownNow();
                throw switch (Objects.requireNonNull(e.getCause())) {
                    case RuntimeException cause -> cause;
                    case IOException cause -> new UncheckedIOException(Reasons.withFile(cause), cause);
                    case Error cause -> throw cause;
                    default -> new IllegalStateException(e.getCause());
                };
            } catch (InterruptedException e) {
                threads.shutdownNow();
                Thread.currentThread().interrupt();
                throw new HubException("interrupted", -1, "", e);
            }
        }
    }
}
