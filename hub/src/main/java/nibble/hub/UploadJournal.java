package nibble.hub;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.source.FileDigest;
import nibble.files.output.OutputException;
import nibble.hub.client.HubHttp;
import nibble.hub.client.RepoName;

/**
 * What is known of an upload that may be stopped at any time: a JSON line for each file's hash and for each file that the hub
 * holds. Lies outside the published folder, which stays as it is; removed when the upload is done. Holds no secret.
 */
final class UploadJournal implements AutoCloseable {
    private final Path file;
    private final FileChannel channel;
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

    private UploadJournal(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /** Opens the journal of publishing {@code folder} to a repository, new or as a run before has left it. */
    static UploadJournal open(Path state, Path folder, String endpoint, RepoName repo) {
        Path file = state.resolve(name(folder, endpoint, repo));
        try {
            Files.createDirectories(state);
            Map<String, Entry> found = Files.exists(file) ? read(file) : Map.of();
            // Rewritten, so that a line cut short by the end of its process does not spoil the next.
            FileChannel channel = FileChannel.open(
                    file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING);
            UploadJournal journal = new UploadJournal(file, channel);
            found.values().forEach(journal::put);
            return journal;
        } catch (IOException e) {
            throw OutputException.of(file, "opening the journal of the upload", e);
        }
    }

    private static String name(Path folder, String endpoint, RepoName repo) {
        String key = folder.toAbsolutePath().normalize() + "\n" + endpoint + "\n" + repo;
        byte[] hash = FileDigest.newSha256().digest(key.getBytes(StandardCharsets.UTF_8));
        return repo.owner() + "--" + repo.name() + "-" + HexFormat.of().formatHex(hash, 0, 6) + ".jsonl";
    }

    private static Map<String, Entry> read(Path file) throws IOException {
        Map<String, Entry> found = new HashMap<>();
        for (String line :
                Files.readString(file, StandardCharsets.ISO_8859_1).lines().toList()) {
            try {
                JsonNode json = HubHttp.JSON.readTree(
                        new String(line.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8));
                String sha256 = json.path("sha256").asText("");
                if (sha256.matches("[0-9a-f]{64}")) {
                    String path = json.path("path").asText("");
                    found.put(
                            path,
                            new Entry(
                                    path,
                                    json.path("bytes").asLong(-1),
                                    json.path("modified_millis").asLong(-1),
                                    sha256,
                                    json.path("state").asText("hashed")));
                }
            } catch (JsonProcessingException e) {
                // The line that was being written when the process ended.
            }
        }
        return found;
    }

    /** What was noted of a file, if it has not changed since. */
    synchronized Optional<Entry> find(String path, long bytes, long modifiedMillis) {
        return Optional.ofNullable(entries.get(path)).filter(entry -> entry.describes(bytes, modifiedMillis));
    }

    /** Notes a file, durably. */
    synchronized void put(Entry entry) {
        entries.put(entry.path(), entry);
        ObjectNode json = HubHttp.JSON.createObjectNode();
        json.put("path", entry.path())
                .put("bytes", entry.bytes())
                .put("modified_millis", entry.modifiedMillis())
                .put("sha256", entry.sha256())
                .put("state", entry.state());
        try {
            ByteBuffer line = ByteBuffer.wrap((json + "\n").getBytes(StandardCharsets.UTF_8));
            while (line.hasRemaining()) {
                channel.write(line);
            }
            channel.force(false);
        } catch (IOException e) {
            throw OutputException.of(file, "writing the journal of the upload", e);
        }
    }

    /** Forgets the upload: it is done. */
    void delete() {
        close();
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw OutputException.of(file, "removing the journal of the finished upload", e);
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw OutputException.of(file, "closing the journal of the upload", e);
        }
    }
}
