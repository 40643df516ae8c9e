package nibble.files.output;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Adds lines to a UTF-8 file, each durable before the next. A last line without its end, as a crash leaves it, is cut
 * off by the first line that is added; until then the file is not touched.
 *
 * <p>Owns the file's channel. Lines may be added from several threads.
 */
public final class DurableLines implements AutoCloseable {
    private final Path file;
    private final List<String> found;
    private final String rest;
    private final long wholeBytes;
    private final long readBytes;
    /** Whether the first line that is added takes the file for this process. */
    private final boolean claimed;

    private @Nullable FileChannel channel;
    private boolean begun;

    private DurableLines(Path file, byte[] bytes, @Nullable FileChannel channel, boolean claimed) {
        this.file = file;
        this.channel = channel;
        this.claimed = claimed;
        this.readBytes = bytes.length;
        List<String> lines = new ArrayList<>();
        int begin = 0;
        for (int i = 0; i < bytes.length; i++) {
            if (bytes[i] == '\n') {
                lines.add(new String(bytes, begin, i - begin, StandardCharsets.UTF_8));
                begin = i + 1;
            }
        }
        this.found = List.copyOf(lines);
        this.rest = new String(bytes, begin, bytes.length - begin, StandardCharsets.UTF_8);
        this.wholeBytes = begin;
    }

    /** Reads a file; an absent one is empty. Writes nothing. */
    public static DurableLines read(Path file) throws IOException {
        return new DurableLines(file, Files.exists(file) ? Files.readAllBytes(file) : new byte[0], null, false);
    }

    /**
     * Opens a file for this process alone: one that is there at once, an absent one when the first line makes it.
     *
     * @return null if another process, or this one, holds it already
     */
    public static @Nullable DurableLines claim(Path file) throws IOException {
        return Files.exists(file) ? lock(file) : new DurableLines(file, new byte[0], null, true);
    }

    /**
     * Opens a file, which is made if it is absent, for this process alone.
     *
     * @return null if another process, or this one, holds it already
     */
    public static @Nullable DurableLines lock(Path file) throws IOException {
        FileChannel channel = open(file);
        boolean held = false;
        try {
            held = isLocked(channel);
            return held ? new DurableLines(file, readAll(channel), channel, true) : null;
        } finally {
            if (!held) {
                channel.close();
            }
        }
    }

    private static boolean isLocked(FileChannel channel) throws IOException {
        try {
            @Nullable FileLock lock = channel.tryLock();
            return lock != null;
        } catch (OverlappingFileLockException e) {
            return false;
        }
    }

    /** Takes a file that was absent when it was looked for. */
    private FileChannel begin() throws IOException {
        FileChannel out = open(file);
        boolean mine = false;
        try {
            mine = !claimed || isLocked(out) && out.size() == readBytes;
        } finally {
            if (!mine) {
                out.close();
            }
        }
        if (!mine) {
            throw new IOException("another run began this file meanwhile; give another file");
        }
        return out;
    }

    /** Through the channel that holds the lock: closing another channel of the file would give the lock up. */
    private static byte[] readAll(FileChannel channel) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(channel.size()));
        while (bytes.hasRemaining() && channel.read(bytes, bytes.position()) >= 0) {
            continue;
        }
        return Arrays.copyOf(bytes.array(), bytes.position());
    }

    private static FileChannel open(Path file) throws IOException {
        boolean absent = !Files.exists(file);
        FileChannel channel =
                FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
        if (absent) {
            Durable.sync(file.resolveSibling("."));
        }
        return channel;
    }

    /** Returns the whole lines that the file held when it was opened. */
    public List<String> found() {
        return found;
    }

    /** Returns the text behind the last whole line; empty where the file ended with a line. */
    public String rest() {
        return rest;
    }

    /** Adds lines, none of which holds a line feed; they are durable when this returns. */
    public synchronized void add(List<String> lines) throws IOException {
        FileChannel out = channel;
        if (out == null) {
            out = begin();
            channel = out;
        }
        if (!begun) {
            out.truncate(wholeBytes);
            out.position(wholeBytes);
            begun = true;
        }
        StringBuilder text = new StringBuilder();
        lines.forEach(line -> text.append(line).append('\n'));
        ByteBuffer bytes = StandardCharsets.UTF_8.encode(text.toString());
        while (bytes.hasRemaining()) {
            out.write(bytes);
        }
        out.force(true);
    }

    @Override
    public synchronized void close() throws IOException {
        FileChannel open = channel;
        channel = null;
        if (open != null) {
            open.close();
        }
    }
}
