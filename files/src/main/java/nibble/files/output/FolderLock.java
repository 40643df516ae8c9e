package nibble.files.output;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/** Holds a folder for one process, by a lock on the file {@code lock} in it. Used by one thread at a time. */
final class FolderLock implements AutoCloseable {
    /** Name of the file. */
    static final String NAME = "lock";

    /** File systems in user space hear of the end of an open file a little later than the program that closed it. */
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private static final Duration POLL = Duration.ofMillis(10);

    /** The first makes the file, the second takes it; more are needed where other processes come and go. */
    private static final int ATTEMPTS = 100;

    /**
     * Folders held by this process: closing any channel of a file gives up all locks that the process has on it, so a
     * second one must not even be opened.
     */
    private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

    private final Path folder;
    private final FileChannel channel;
    private boolean closed;

    private FolderLock(Path folder, FileChannel channel) {
        this.folder = folder;
        this.channel = channel;
    }

    /**
     * Takes a folder, which is made if it is absent.
     *
     * @throws OutputException if another process, or this one, holds it
     */
    static FolderLock of(Path folder) throws IOException {
        if (!HELD.add(folder)) {
            throw inUse(folder, "");
        }
        try {
            for (int i = 0; i < ATTEMPTS; i++) {
                @Nullable FileChannel channel = tryHold(folder);
                if (channel != null) {
                    return new FolderLock(folder, channel);
                }
            }
            throw inUse(folder, "");
        } catch (IOException | RuntimeException e) {
            HELD.remove(folder);
            throw e;
        }
    }

    /** Returns the channel that holds the folder; null if another process has removed folder or file meanwhile. */
    private static @Nullable FileChannel tryHold(Path folder) throws IOException {
        Path file = folder.resolve(NAME);
        Files.createDirectories(folder);
        // Before the file is opened: if its name has the same key in the end, it is the one that was opened.
        @Nullable Object key = key(file);
        FileChannel channel;
        try {
            channel = FileChannel.open(
                    file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
        } catch (NoSuchFileException e) {
            return null;
        }
        boolean held = false;
        try {
            @Nullable FileLock lock = channel.tryLock();
            if (lock == null) {
                throw inUse(folder, " (process " + read(channel) + ")");
            }
            held = key != null && key.equals(key(file));
            if (held) {
                channel.truncate(0);
                channel.write(ByteBuffer.wrap(
                        Long.toString(ProcessHandle.current().pid()).getBytes(StandardCharsets.US_ASCII)));
            }
            return held ? channel : null;
        } finally {
            if (!held) {
                channel.close();
            }
        }
    }

    /** Returns what identifies a file; null where there is none. */
    private static @Nullable Object key(Path file) throws IOException {
        try {
            BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
            // Windows has no keys, but refuses to delete a file that is locked.
            return attributes.fileKey() == null ? file : attributes.fileKey();
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    private static String read(FileChannel channel) throws IOException {
        ByteBuffer pid = ByteBuffer.allocate(20);
        channel.read(pid, 0);
        String text = new String(pid.array(), 0, pid.position(), StandardCharsets.US_ASCII);
        return text.matches("[0-9]+") ? text : "unknown";
    }

    private static OutputException inUse(Path folder, String process) {
        return new OutputException(
                folder,
                "another run of nibble" + process
                        + " is writing this output now; wait for it or choose another folder");
    }

    /**
     * Gives the folder up and removes it, unless another process takes it at once. It must be empty but for the lock.
     *
     * <p>The file goes while it is locked: who has opened it and locks it next sees that it has lost its name. The
     * folder goes after the file is closed: NFS, and file systems in user space, keep a deleted file that is open in
     * its folder, under another name.
     *
     * @throws DirectoryNotEmptyException if something else is in the folder
     */
    void remove() throws IOException {
        Files.deleteIfExists(folder.resolve(NAME));
        close();
        long since = System.nanoTime();
        while (true) {
            try {
                Files.deleteIfExists(folder);
                return;
            } catch (DirectoryNotEmptyException e) {
                if (Files.exists(folder.resolve(NAME))) {
                    return;
                }
                if (System.nanoTime() - since > PATIENCE.toNanos()) {
                    throw e;
                }
                pause(e);
            }
        }
    }

    private static void pause(IOException reason) throws IOException {
        try {
            Thread.sleep(POLL);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw reason;
        }
    }

    /** Returns whether the folder was given up. */
    boolean isClosed() {
        return closed;
    }

    /** Gives the folder up; it stays. */
    @Override
    public void close() throws IOException {
        if (closed) {
            return;
        }
        closed = true;
        try {
            channel.close();
        } finally {
            HELD.remove(folder);
        }
    }
}
