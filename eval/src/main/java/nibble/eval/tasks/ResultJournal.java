package nibble.eval.tasks;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import nibble.datasets.BadDatasetException;
import nibble.files.Reasons;
import nibble.files.output.DurableLines;
import org.jspecify.annotations.Nullable;

/**
 * Keeps results of finished documents on disk, so that a run that was killed can be resumed: JSON lines, the first of
 * which says what is measured and how. Lines are durable before the next pass begins; one torn by a crash is cut off.
 * Held by one process at a time.
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

    private final Path file;
    private final @Nullable DurableLines lines;
    private final Map<String, Map<Integer, DocumentResult>> finished = new LinkedHashMap<>();
    private int entries;

    private ResultJournal(Path file, @Nullable DurableLines lines) {
        this.file = file;
        this.lines = lines;
    }

    /** Keeps nothing. */
    public static ResultJournal none() {
        return new ResultJournal(Path.of(""), null);
    }

    /**
     * Opens or begins a journal.
     *
     * @param job everything that determines the results, by name; a journal of another job is rejected
     * @throws BadDatasetException if the file is another job's, in use, or no journal
     */
    public static ResultJournal open(Path file, Map<String, String> job) {
        @Nullable DurableLines lines;
        try {
            lines = DurableLines.lock(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": the journal cannot be opened: " + Reasons.of(e), e);
        }
        if (lines == null) {
            throw new BadDatasetException(
                    file + ": another run is writing this journal; wait for it or name another --journal");
        }
        ResultJournal journal = new ResultJournal(file, lines);
        try {
            journal.read(lines, job);
            return journal;
        } catch (RuntimeException e) {
            journal.close();
            throw e;
        }
    }

    private void read(DurableLines journal, Map<String, String> job) {
        if (journal.found().isEmpty()) {
            String first = EvaluationJson.line(job);
            if (!first.startsWith(journal.rest())) {
                throw new BadDatasetException(
                        file + ": is no journal of this run, and it was left as it is; name another --journal");
            }
            append(List.of(first));
            return;
        }
        int number = 1;
        try {
            requireSame(file, EvaluationJson.parseLine(journal.found().getFirst(), JOB), job);
            for (String line : journal.found().subList(1, journal.found().size())) {
                number++;
                Entry entry = EvaluationJson.parseLine(line, Entry.class);
                finished.computeIfAbsent(entry.task(), _ -> new LinkedHashMap<>())
                        .put(entry.result().document(), entry.result());
                entries++;
            }
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(
                    "%s: line %d is no journal's: %s; delete the file to begin again"
                            .formatted(file, number, Reasons.of(e)),
                    e);
        }
    }

    private static void requireSame(Path file, Map<String, String> found, Map<String, String> job) {
        Set<String> names = new LinkedHashSet<>(job.keySet());
        names.addAll(found.keySet());
        for (String name : names) {
            String before = found.getOrDefault(name, "nothing");
            String now = job.getOrDefault(name, "nothing");
            if (!before.equals(now)) {
                throw new BadDatasetException(
                        ("%s: results of another run: %s was %s, now it is %s; delete the file to begin again, or name"
                                        + " another --journal")
                                .formatted(file, name, before, now));
            }
        }
    }

    /** Counts the documents kept from an earlier run. */
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
        append(results.stream().map(EvaluationJson::line).toList());
    }

    private void append(List<String> added) {
        if (lines == null) {
            return;
        }
        try {
            lines.add(added);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": the journal cannot be written: " + Reasons.of(e), e);
        }
    }

    /** Removes the file: the results are elsewhere now. */
    public void delete() {
        if (lines == null) {
            return;
        }
        close();
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": the journal cannot be deleted: " + Reasons.of(e), e);
        }
    }

    @Override
    public void close() {
        if (lines == null) {
            return;
        }
        try {
            lines.close();
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": the journal cannot be closed: " + Reasons.of(e), e);
        }
    }
}
