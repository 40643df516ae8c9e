package nibble.checkpoint.source;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import nibble.files.FileFault;
import nibble.files.digest.Sha256;

/**
 * Holds a file's length and SHA-256: what a hub knows a large file by.
 *
 * @param path path in the repository, with forward slashes
 * @param bytes the file's length
 * @param sha256 64 hexadecimal digits in lower case
 */
public record FileDigest(String path, long bytes, String sha256) {
    /**
     * Reads every file once, several at a time.
     *
     * @param files path in the repository to file
     * @param threads files read at a time
     * @param progress told the bytes read since it was last called; from several threads
     * @throws BadCheckpointException if a file cannot be read
     */
    public static List<FileDigest> of(SortedMap<String, Path> files, int threads, LongConsumer progress) {
        return of(files, threads, progress, refused -> {
            throw refused;
        });
    }

    /**
     * Reads every file once, several at a time.
     *
     * @param unreadable told of each file that cannot be read, which has no digest then; what it throws ends the
     *     reading
     */
    public static List<FileDigest> of(
            SortedMap<String, Path> files,
            int threads,
            LongConsumer progress,
            Consumer<BadCheckpointException> unreadable) {
        List<FileDigest> digests = new ArrayList<>();
        try (ExecutorService readers = Executors.newFixedThreadPool(
                Math.max(1, threads),
                Thread.ofPlatform().daemon().name("sha256-", 0).factory())) {
            List<Future<FileDigest>> running = new ArrayList<>();
            for (Map.Entry<String, Path> file : files.entrySet()) {
                running.add(readers.submit(() -> of(file.getKey(), file.getValue(), progress)));
            }
            try {
                for (Future<FileDigest> one : running) {
                    add(one, digests, unreadable);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted while reading files", e);
            } finally {
                readers.shutdownNow();
            }
        }
        return List.copyOf(digests);
    }

    private static void add(
            Future<FileDigest> one, List<FileDigest> digests, Consumer<BadCheckpointException> unreadable)
            throws InterruptedException {
        try {
            digests.add(one.get());
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case BadCheckpointException refused -> unreadable.accept(refused);
                // Memory that ran out in a reader's thread is memory that ran out.
                case Error error -> throw error;
                case null, default -> throw new IllegalStateException(e.getCause());
            }
        }
    }

    /** Reads one file; stops early, with an exception, if its thread is interrupted. */
    public static FileDigest of(String path, Path file, LongConsumer progress) {
        LongAdder bytes = new LongAdder();
        try {
            String sha256 = Sha256.of(file, read -> {
                bytes.add(read);
                progress.accept(read);
            });
            return new FileDigest(path, bytes.sum(), sha256);
        } catch (IOException e) {
            throw new BadCheckpointException(file, FileFault.of(file, e), e);
        }
    }
}
