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
import java.util.function.LongConsumer;
import nibble.files.Reasons;
import nibble.files.digest.Sha256;

/**
 * A file's length and SHA-256: what a hub knows a large file by.
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
                    digests.add(one.get());
                }
            } catch (ExecutionException e) {
                readers.shutdownNow();
                throw e.getCause() instanceof BadCheckpointException bad
                        ? bad
                        : new IllegalStateException(e.getCause());
            } catch (InterruptedException e) {
                readers.shutdownNow();
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted while reading files", e);
            }
        }
        return List.copyOf(digests);
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
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
    }
}
