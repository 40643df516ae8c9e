package nibble.files.output;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Adds lines to a journal, each durable before the next:
 *
 * <pre>
 *  {"crc32c":"6f0d3a91","entry":{"layer":{"layer":3,"sha256":"…","source_sha256":"…","report":{…}}}}
 * </pre>
 *
 * <p>{@code E} is what an entry is: a record, or an interface whose records Jackson can tell apart. The checksum is of
 * the bytes of the entry. A line without its end, as a crash leaves it, or with another checksum ends what is believed:
 * it and all that follows is dropped.
 */
public final class JournalFile<E> implements AutoCloseable {
    /** Added to the name of a journal that is about to be replaced. */
    static final String NEXT = ".next";

    /**
     * Entries of every kind of journal that stand for seconds of work: what the run makes, and what is copied first.
     */
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
    private DurableLines lines;
    private boolean damaged;

    private JournalFile(Path path, Class<E> type, DurableLines lines) {
        this.path = path;
        this.type = type;
        this.lines = lines;
        for (String line : lines.found()) {
            @Nullable E entry = parse(line);
            if (entry == null) {
                damaged = true;
                break;
            }
            entries.add(entry);
        }
        damaged |= !lines.rest().isEmpty();
    }

    /**
     * Reads what can be believed of a journal; an absent one is empty. Writes nothing.
     *
     * @throws OutputException if it cannot be read
     */
    public static <E> JournalFile<E> read(Path path, Class<E> type) {
        try {
            return new JournalFile<>(path, type, DurableLines.read(path));
        } catch (IOException e) {
            throw OutputException.of(path, "reading the journal", e);
        }
    }

    /**
     * Whether a line of the journal, of whatever version, may stand for finished work; a last line without its end does
     * not.
     */
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

    private String write(E entry) {
        try {
            return line(JSON.writerFor(type).writeValueAsString(entry));
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns all entries that can be believed, in order. */
    public List<E> entries() {
        return List.copyOf(entries);
    }

    /** Returns whether lines were dropped. */
    public boolean damaged() {
        return damaged;
    }

    /**
     * Puts {@code kept} in the place of all entries, whole or not at all. A damaged journal is replaced before it is
     * appended to.
     *
     * @throws OutputException if the disk is full or refuses
     */
    public synchronized void replace(List<? extends E> kept) {
        Path next = path.resolveSibling(path.getFileName() + NEXT);
        try {
            lines.close();
            Files.deleteIfExists(next);
            try (DurableLines written = DurableLines.read(next)) {
                written.add(kept.stream().map(this::write).toList());
            }
            Files.move(next, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            Durable.sync(path.resolveSibling("."));
            lines = DurableLines.read(path);
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
            lines.add(List.of(write(entry)));
            entries.add(entry);
        } catch (IOException e) {
            throw OutputException.of(path, "writing the journal", e);
        }
    }

    /**
     * Removes the file.
     *
     * @throws OutputException if the disk refuses
     */
    public void delete() {
        close();
        try {
            Files.deleteIfExists(path);
        } catch (IOException e) {
            throw OutputException.of(path, "removing the journal", e);
        }
    }

    @Override
    public void close() {
        try {
            lines.close();
        } catch (IOException e) {
            throw OutputException.of(path, "closing the journal", e);
        }
    }
}
