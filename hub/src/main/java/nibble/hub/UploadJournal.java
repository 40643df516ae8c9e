package nibble.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.files.digest.Sha256;
import nibble.files.output.JournalFile;
import nibble.files.output.OutputException;
import nibble.hub.client.RepoName;

/**
 * What is known of an upload that may be stopped at any time: an entry for each file's hash and for each file that the
 * hub holds. Lies outside the published folder, which stays as it is; removed when the upload is done. Holds no secret.
 */
final class UploadJournal implements AutoCloseable {
    private final JournalFile<Entry> file;
    private final Map<String, Entry> entries = new HashMap<>();

    /**
     * A file as it was when it was hashed.
     *
     * @param state {@code hashed} or {@code stored}
     */
    record Entry(String path, long bytes, long modifiedMillis, String sha256, String state) {
        boolean describes(long foundBytes, long foundModified) {
            return bytes == foundBytes && modifiedMillis == foundModified;
        }
    }

    private UploadJournal(JournalFile<Entry> file) {
        this.file = file;
        file.entries().forEach(entry -> entries.put(entry.path(), entry));
        file.replace(List.copyOf(entries.values()));
    }

    /** Opens the journal of publishing {@code folder} to a repository, new or as a run before has left it. */
    static UploadJournal open(Path state, Path folder, String endpoint, RepoName repo) {
        Path file = state.resolve(name(folder, endpoint, repo));
        try {
            Files.createDirectories(state);
        } catch (IOException e) {
            throw OutputException.of(file, "opening the journal of the upload", e);
        }
        return new UploadJournal(JournalFile.read(file, Entry.class));
    }

    private static String name(Path folder, String endpoint, RepoName repo) {
        String sha256 = new Sha256()
                .add(folder.toAbsolutePath().normalize() + "\n" + endpoint + "\n" + repo)
                .hex();
        return repo.owner() + "--" + repo.name() + "-" + sha256.substring(0, 12) + ".jsonl";
    }

    /** What was noted of a file, if it has not changed since. */
    synchronized Optional<Entry> find(String path, long bytes, long modifiedMillis) {
        return Optional.ofNullable(entries.get(path)).filter(entry -> entry.describes(bytes, modifiedMillis));
    }

    /** Notes a file, durably. */
    synchronized void put(Entry entry) {
        entries.put(entry.path(), entry);
        file.append(entry);
    }

    /** Forgets the upload: it is done. */
    void delete() {
        file.delete();
    }

    @Override
    public void close() {
        file.close();
    }
}
