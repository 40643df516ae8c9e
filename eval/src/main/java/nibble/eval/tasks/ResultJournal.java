package nibble.eval.tasks;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import nibble.datasets.BadDatasetException;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/**
 * Results of finished documents on disk, so that a run that was killed goes on where it stood: JSON lines, the first of which says
 * what is measured and how. Lines are durable before the next pass begins; one torn by a crash is cut off. Held by one process at a
 * time.
 */
public final class ResultJournal implements AutoCloseable {
    private static final TypeReference<LinkedHashMap<String, String>> JOB = new TypeReference<>() {};

    /** A finished document of a task. */
    record Entry(String task, DocumentResult result) {
        Entry {
            Objects.requireNonNull(task, "task");
            Objects.requireNonNull(result, "result");
        }
    }

    private final @Nullable Path file;
    private final @Nullable FileChannel channel;
    private final Map<String, Map<Integer, DocumentResult>> finished = new LinkedHashMap<>();
    private int entries;

    private ResultJournal(@Nullable Path file, @Nullable FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /** Keeps nothing. */
    public static ResultJournal none() {
        return new ResultJournal(null, null);
    }

    /**
     * Opens or begins a journal.
     *
     * @param job what decides the results, by name; a journal of another job is refused
     * @throws BadDatasetException if the file is another job's, in use, or no journal
     */
    public static ResultJournal open(Path file, Map<String, String> job) {
        FileChannel channel;
        try {
            channel = FileChannel.open(
                    file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": the journal cannot be opened: " + Reasons.of(e), e);
        }
        ResultJournal journal = new ResultJournal(file, channel);
        try {
            lock(file, channel);
            journal.read(file, channel, job);
            return journal;
        } catch (IOException e) {
            journal.close();
            throw new UncheckedIOException(file + ": the journal cannot be read or written: " + Reasons.of(e), e);
        } catch (RuntimeException e) {
            journal.close();
            throw e;
        }
    }

    private static void lock(Path file, FileChannel channel) throws IOException {
        @Nullable FileLock lock;
        try {
            lock = channel.tryLock();
        } catch (OverlappingFileLockException e) {
            lock = null;
        }
        if (lock == null) {
            throw new BadDatasetException(
                    file + ": another run is writing this journal; wait for it or name another --journal");
        }
    }

    private void read(Path file, FileChannel channel, Map<String, String> job) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        int whole = 0;
        for (int i = 0; i < bytes.length; i++) {
            whole = bytes[i] == '\n' ? i + 1 : whole;
        }
        if (whole == 0) {
            requireBegun(file, bytes, EvaluationJson.line(job));
            cut(channel, 0);
            append(List.of(EvaluationJson.line(job)));
            return;
        }
        List<String> lines =
                new String(bytes, 0, whole, StandardCharsets.UTF_8).lines().toList();
        int number = 1;
        try {
            requireSame(file, EvaluationJson.parseLine(lines.getFirst(), JOB), job);
            for (String line : lines.subList(1, lines.size())) {
                number++;
                Entry entry = EvaluationJson.parseLine(line, Entry.class);
                finished.computeIfAbsent(entry.task(), _ -> new LinkedHashMap<>())
                        .put(entry.result().document(), entry.result());
                entries++;
            }
            cut(channel, whole);
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(
                    "%s: line %d is no journal's: %s; delete the file to begin again"
                            .formatted(file, number, Reasons.of(e)),
                    e);
        }
    }

    /** What a run that was killed at once has left is the beginning of the first line; anything else is another's file. */
    private static void requireBegun(Path file, byte[] found, String first) {
        byte[] expected = first.getBytes(StandardCharsets.UTF_8);
        if (found.length > expected.length || !Arrays.equals(found, Arrays.copyOf(expected, found.length))) {
            throw new BadDatasetException(
                    file + ": is no journal of this run, and it was left as it is; name another --journal");
        }
    }

    /** Only when all before is known to be this run's. */
    private static void cut(FileChannel channel, int whole) throws IOException {
        channel.truncate(whole);
        channel.position(whole);
    }

    private static void requireSame(Path file, Map<String, String> found, Map<String, String> job) {
        for (Map.Entry<String, String> one : job.entrySet()) {
            String before = found.getOrDefault(one.getKey(), "nothing");
            if (!before.equals(one.getValue())) {
                throw new BadDatasetException(
                        "%s: results of another run: %s was %s, now it is %s; delete the file to begin again, or name another --journal"
                                .formatted(file, one.getKey(), before, one.getValue()));
            }
        }
    }

    /** Documents kept from an earlier run. */
    public int entries() {
        return entries;
    }

    /** What an earlier run found for a document, if it came so far. */
    @Nullable
    DocumentResult result(String task, int document) {
        return finished.getOrDefault(task, Map.of()).get(document);
    }

    /** Keeps results; they are durable when this returns. */
    void keep(List<Entry> results) {
        if (channel == null) {
            return;
        }
        try {
            append(results.stream().map(EvaluationJson::line).toList());
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": the journal cannot be written: " + Reasons.of(e), e);
        }
    }

    private void append(List<String> lines) throws IOException {
        if (channel == null) {
            return;
        }
        ByteBuffer bytes = ByteBuffer.wrap((String.join("\n", lines) + "\n").getBytes(StandardCharsets.UTF_8));
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
        channel.force(false);
    }

    /** Removes the file: the results are elsewhere now. */
    public void delete() {
        if (file != null) {
            close();
            try {
                Files.deleteIfExists(file);
            } catch (IOException e) {
                throw new UncheckedIOException(file + ": the journal cannot be deleted: " + Reasons.of(e), e);
            }
        }
    }

    @Override
    public void close() {
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException e) {
                throw new UncheckedIOException(file + ": the journal cannot be closed: " + Reasons.of(e), e);
            }
        }
    }
}
