package nibble.eval.mtbench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.files.Reasons;
import nibble.files.output.Durable;
import nibble.files.output.DurableLines;

/**
 * Writes a file of JSON objects of one kind, a line each, while it grows: each is on the disk before the next is made.
 * What a killed run left of a line is cut off by the first one that is added.
 *
 * @param <T> a record; its names are in snake case in the file
 */
public final class RecordLines<T> implements AutoCloseable {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .build();

    private static final String NEXT = ".next";

    private final Path file;
    private final DurableLines lines;

    private RecordLines(Path file, DurableLines lines) {
        this.file = file;
        this.lines = lines;
    }

    /**
     * Opens a file that is not there yet or that an earlier run began, for this process alone. It is neither made nor
     * changed before the first line is added.
     *
     * @param kind what a line is, for messages
     * @param beginning of every line, as far as it does not depend on what the line says
     * @param found takes the place of a line and what it says, in the order of the file
     * @throws BadDatasetException if anything in the file is no such line, or another run writes it
     */
    public static <T> RecordLines<T> open(
            Path file, Class<T> type, String kind, Pattern beginning, BiConsumer<String, T> found) {
        DurableLines lines;
        try {
            lines = DurableLines.claim(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be opened: " + Reasons.of(e), e);
        }
        if (lines == null) {
            throw new BadDatasetException(file + ": another run is writing it; wait for it or give another file");
        }
        RecordLines<T> opened = new RecordLines<>(file, lines);
        boolean whole = false;
        try {
            int number = 0;
            for (String line : lines.found()) {
                String where = file + ": line " + ++number;
                found.accept(where, read(where, line, type, kind));
            }
            Matcher rest = beginning.matcher(lines.rest());
            if (!lines.rest().isEmpty() && !rest.matches() && !rest.hitEnd()) {
                throw new BadDatasetException(
                        file + ": line " + ++number + ": no " + kind + " of this program; give another file");
            }
            whole = true;
            return opened;
        } finally {
            if (!whole) {
                opened.close();
            }
        }
    }

    private static <T> T read(String where, String line, Class<T> type, String kind) {
        try {
            T read = JSON.readValue(line, type);
            if (read == null) {
                throw new BadDatasetException(where + ": no " + kind + " of this program: null; give another file");
            }
            return read;
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(
                    where + ": no " + kind + " of this program: " + Reasons.of(e) + "; give another file", e);
        }
    }

    /** Adds a line and waits until it is on the disk. */
    public void add(T line) {
        try {
            lines.add(List.of(JSON.writeValueAsString(line)));
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be written: " + Reasons.of(e), e);
        }
    }

    /** Puts the lines of a finished file in another order, and closes it: the whole file is replaced, or nothing. */
    void reorder(List<T> ordered) {
        close();
        Path next = file.resolveSibling(file.getFileName() + NEXT);
        try {
            List<String> texts = new ArrayList<>();
            for (T line : ordered) {
                texts.add(JSON.writeValueAsString(line));
            }
            Files.deleteIfExists(next);
            try (DurableLines written = DurableLines.read(next)) {
                written.add(texts);
            }
            Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            Durable.sync(file.resolveSibling("."));
        } catch (IOException e) {
            throw new UncheckedIOException(
                    file + ": is whole, but cannot be put in the order of the questions: " + Reasons.of(e), e);
        }
    }

    @Override
    public void close() {
        try {
            lines.close();
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be closed: " + Reasons.of(e), e);
        }
    }
}
