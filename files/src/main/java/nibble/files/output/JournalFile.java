package nibble.files.output;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Lines that are only ever added, each durable before the next:
 *
 * <pre>
 *  {"crc32c":"6f0d3a91","entry":{"layer":{"layer":3,"sha256":"…","source_sha256":"…","report":{…}}}}
 * </pre>
 *
 * <p>{@code E} is what an entry is, an interface whose records Jackson can tell apart. The checksum is of the bytes of the entry. A line without its end, as a crash leaves it, or with another checksum ends
 * what is believed: it and all that follows is dropped.
 */
public final class JournalFile<E> implements AutoCloseable {
    /** The journal's name in the state folder of an {@link UnfinishedOutput}. */
    public static final String NAME = "journal.jsonl";

    /** Added to the name of a journal that is about to be replaced. */
    static final String NEXT = ".next";

    /** Entries of every kind of journal that stand for seconds of work: what the run makes, and what is copied first. */
    private static final List<String> BEGINNINGS = List.of("{\"start\":", "{\"outer\":");

    private static final ObjectMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .build();

    private static final String BEFORE_CHECKSUM = "{\"crc32c\":\"";
    private static final String BEFORE_ENTRY = "\",\"entry\":";
    private static final int ENTRY_START = BEFORE_CHECKSUM.length() + 8 + BEFORE_ENTRY.length();

    private final Path path;
    private final Class<E> type;
    private final List<E> entries = new ArrayList<>();
    private @Nullable FileChannel channel;
    private boolean damaged;

    private JournalFile(Path path, Class<E> type) {
        this.path = path;
        this.type = type;
    }

    /**
     * Reads what can be believed of a journal; an absent one is empty. Writes nothing.
     *
     * @throws OutputException if it cannot be read
     */
    public static <E> JournalFile<E> read(Path path, Class<E> type) {
        JournalFile<E> file = new JournalFile<>(path, type);
        if (!Files.exists(path)) {
            return file;
        }
        byte[] bytes;
        try {
            bytes = Files.readAllBytes(path);
        } catch (IOException e) {
            throw OutputException.of(path, "reading the journal", e);
        }
        int begin = 0;
        for (int i = 0; i < bytes.length && !file.damaged; i++) {
            if (bytes[i] == '\n') {
                E entry = file.parse(new String(bytes, begin, i - begin, StandardCharsets.UTF_8));
                if (entry == null) {
                    file.damaged = true;
                } else {
                    file.entries.add(entry);
                    begin = i + 1;
                }
            }
        }
        file.damaged |= begin < bytes.length;
        return file;
    }

    /** Whether a line of the journal, of whatever version, may stand for finished work; a last line without its end does not. */
    static boolean holdsWork(Path path) throws IOException {
        if (!Files.exists(path)) {
            return false;
        }
        String text = Files.readString(path, StandardCharsets.ISO_8859_1);
        return text.substring(0, text.lastIndexOf('\n') + 1)
                .lines()
                .anyMatch(line -> BEGINNINGS.stream().noneMatch(kind -> line.startsWith(kind, ENTRY_START)));
    }

    private @Nullable E parse(String line) {
        if (line.length() <= ENTRY_START || !line.endsWith("}")) {
            return null;
        }
        String entry = line.substring(ENTRY_START, line.length() - 1);
        if (!line.equals(line(entry))) {
            return null;
        }
        try {
            return JSON.readValue(entry, type);
        } catch (JsonProcessingException e) {
            // Whole, but of a version that writes other entries.
            return null;
        }
    }

    private static String line(String entry) {
        CRC32C crc = new CRC32C();
        crc.update(entry.getBytes(StandardCharsets.UTF_8));
        return BEFORE_CHECKSUM + String.format("%08x", crc.getValue()) + BEFORE_ENTRY + entry + "}";
    }

    private byte[] bytes(E entry) {
        try {
            return (line(JSON.writerFor(type).writeValueAsString(entry)) + "\n").getBytes(StandardCharsets.UTF_8);
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** All entries that can be believed, in order. */
    public List<E> entries() {
        return List.copyOf(entries);
    }

    /** Whether lines were dropped. */
    public boolean damaged() {
        return damaged;
    }

    /**
     * Puts {@code kept} in the place of all entries, whole or not at all.
     *
     * @throws OutputException if the disk is full or refuses
     */
    public void replace(List<? extends E> kept) {
        Path next = path.resolveSibling(path.getFileName() + NEXT);
        try {
            close();
            try (FileChannel out = FileChannel.open(
                    next, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
                for (E entry : kept) {
                    write(out, entry);
                }
                out.force(true);
            }
            Files.move(next, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            syncFolder();
        } catch (IOException e) {
            throw OutputException.of(path, "writing the journal", e);
        }
        entries.clear();
        entries.addAll(kept);
        damaged = false;
    }

    /**
     * Adds an entry, durably.
     *
     * @throws OutputException if the disk is full or refuses
     */
    public synchronized void append(E entry) {
        try {
            FileChannel out = channel;
            if (out == null) {
                out = FileChannel.open(path, StandardOpenOption.WRITE, StandardOpenOption.APPEND);
                channel = out;
            }
            write(out, entry);
            out.force(true);
            entries.add(entry);
        } catch (IOException e) {
            throw OutputException.of(path, "writing the journal", e);
        }
    }

    private void write(FileChannel out, E entry) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(bytes(entry));
        while (bytes.hasRemaining()) {
            out.write(bytes);
        }
    }

    private void syncFolder() throws IOException {
        Durable.sync(path.resolveSibling("."));
    }

    @Override
    public void close() {
        try (FileChannel _ = channel) {
            channel = null;
        } catch (IOException e) {
            throw OutputException.of(path, "closing the journal", e);
        }
    }
}
