package nibble.hub.client;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Takes steps that one thread of one process does at a time, by a lock on a file. The lock is asked for again and again
 * rather than waited for: to the operating system, two processes whose threads each hold one lock and wait for
 * another's are deadlocked ("Resource deadlock avoided") although their threads are not. Where there can be no lock,
 * the step is done without: it costs double work at most.
 */
public final class FileLocks {
    private static final ConcurrentMap<Path, Lock> IN_THIS_PROCESS = new ConcurrentHashMap<>();

    private static final Duration BETWEEN_TRIES = Duration.ofMillis(50);

    private FileLocks() {}

    /** Does a step under a lock. */
    public interface Step {
        void run() throws IOException;
    }

    /** Runs a step while no other thread or process runs one under the same file, which is made. */
    public static void locked(Path file, Step step) throws IOException {
        Path absolute = file.toAbsolutePath().normalize();
        // A file lock is the process's: threads of this one need their own.
        Lock lock = IN_THIS_PROCESS.computeIfAbsent(absolute, _ -> new ReentrantLock());
        lock.lock();
        try (@Nullable FileChannel channel = opened(absolute)) {
            if (channel != null) {
                acquire(channel);
            }
            step.run();
        } finally {
            lock.unlock();
        }
    }

    /** The lock's file; null where it cannot be written: another user's, or on a disk that is read-only. */
    private static @Nullable FileChannel opened(Path file) throws IOException {
        try {
            Files.createDirectories(Objects.requireNonNull(file.getParent()));
            return FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        } catch (FileSystemException e) {
            return null;
        }
    }

    private static void acquire(FileChannel channel) throws IOException {
        while (true) {
            try {
                // Ends with the channel.
                @Nullable FileLock lock = channel.tryLock();
                if (lock != null) {
                    return;
                }
            } catch (OverlappingFileLockException e) {
                // The same file under another name, held by another thread of this process.
            } catch (IOException e) {
                // No locks here, as on some network file systems.
                return;
            }
            try {
                Thread.sleep(BETWEEN_TRIES);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new HubException("interrupted", -1, "", e);
            }
        }
    }
}
