package nibble.hub.client;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.hub.client.HubApi.RemoteFile;

/**
 * Lists the files of a commit as the hub's own tools keep them in the cache: {@code {"format_version": 1, "files":
 * {"PATH": {"size": …, "blob_id": "git's SHA-1", "lfs_sha256": "of large files", "lfs_size": …}}}}.
 */
public final class TreeListing {
    private static final int FORMAT = 1;

    private TreeListing() {}

    /** Reads the list, empty if there is none, or it is not of this form: then the hub is asked. */
    public static Optional<List<RemoteFile>> read(Path path) {
        JsonNode json;
        try {
            json = Files.isRegularFile(path)
                    ? HubHttp.JSON.readTree(Files.readAllBytes(path))
                    : HubHttp.JSON.missingNode();
        } catch (IOException e) {
            return Optional.empty();
        }
        if (json == null
                || json.path("format_version").asInt(0) != FORMAT
                || !json.path("files").isObject()) {
            return Optional.empty();
        }
        List<RemoteFile> files = new ArrayList<>();
        for (Map.Entry<String, JsonNode> entry : json.path("files").properties()) {
            JsonNode file = entry.getValue();
            String gitId = file.path("blob_id").asText("");
            RemoteFile remote = new RemoteFile(
                    entry.getKey(),
                    file.path("size").asLong(-1),
                    file.path("lfs_sha256").asText(gitId),
                    gitId);
            if (!remote.safe() || !remote.known()) {
                return Optional.empty();
            }
            files.add(remote);
        }
        return Optional.of(files);
    }

    public static String json(List<RemoteFile> files) {
        ObjectNode json = HubHttp.JSON.createObjectNode().put("format_version", FORMAT);
        ObjectNode list = json.putObject("files");
        for (RemoteFile file : files) {
            ObjectNode one =
                    list.putObject(file.path()).put("size", file.bytes()).put("blob_id", file.gitId());
            if (file.large()) {
                one.put("lfs_sha256", file.etag()).put("lfs_size", file.bytes());
            }
        }
        return json.toPrettyString();
    }
}
