package nibble.hub;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.hub.FakeHub.Answer;
import nibble.hub.FakeHub.Refusal;
import nibble.hub.FakeRepository.Commit;
import nibble.hub.FakeRepository.Entry;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;

/** The fake hub's commits, and what it asks of a card. */
final class FakeHubCommits {
    private static final Set<String> LICENSES =
            Set.of(("apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0"
                            + " bigcode-openrail-m cc-by-4.0 cc-by-nc-4.0 cc-by-sa-4.0 llama2 llama3 llama3.1 llama3.2"
                            + " llama3.3 llama4 gemma unknown other")
                    .split(" "));

    private final FakeHub hub;

    FakeHubCommits(FakeHub hub) {
        this.hub = hub;
    }

    static List<String> errors(String card) {
        Matcher header =
                Pattern.compile("^---\r?\n(.*?)\r?\n---", Pattern.DOTALL).matcher(card);
        if (!header.find()) {
            return List.of();
        }
        try {
            Object read = new Load(LoadSettings.builder().build()).loadFromString(header.group(1));
            return read instanceof Map<?, ?> map && map.containsKey("license") && !LICENSES.contains(map.get("license"))
                    ? List.of("\"license\" must be one of [apache-2.0, mit, ...]")
                    : List.of();
        } catch (YamlEngineException e) {
            return List.of("YAML: " + e.getMessage());
        }
    }

    Answer commit(String name, FakeRepository repo, String branch, boolean pullRequest, byte[] body, Fault fault)
            throws IOException {
        if (fault != null && fault.kind == Fault.Kind.OVERTAKE) {
            Map<String, Entry> files = new TreeMap<>(repo.at(branch).files());
            files.put("other.txt", new Entry("other".getBytes(StandardCharsets.UTF_8), "", 5));
            repo.branches.put(
                    branch,
                    repo.add(repo.at(branch).id(), "somebody else's", files).id());
        }
        Commit head = repo.at(branch);
        Map<String, Entry> files = new TreeMap<>(head.files());
        String title = "";
        Set<String> keys = new HashSet<>();
        for (String line : new String(body, StandardCharsets.UTF_8).split("\n")) {
            JsonNode json = line(line);
            FakeHubApi.keys(json, List.of("key", "value"));
            JsonNode value = json.path("value");
            String path = value.path("path").asText();
            FakeHub.require(
                    keys.isEmpty() == json.path("key").asText().equals("header"),
                    400,
                    "the header is the first line, once");
            keys.add(json.path("key").asText());
            switch (json.path("key").asText()) {
                case "header" -> {
                    FakeHubApi.keys(value, List.of("summary"), "description", "parentCommit");
                    FakeHub.require(
                            !value.has("parentCommit")
                                    || value.path("parentCommit").asText().matches("[0-9a-f]{40}"),
                            400,
                            "parentCommit");
                    title = value.path("summary").asText();
                    FakeHub.require(!title.isEmpty(), 400, "summary");
                    boolean current = !value.has("parentCommit")
                            || value.path("parentCommit").asText().equals(head.id());
                    FakeHub.require(current, 412, "A commit has happened since. Please refresh and try again.");
                }
                case "file" -> files.put(path, regular(path, value));
                case "lfsFile" -> {
                    FakeHubApi.keys(value, List.of("path", "algo", "oid"), "size");
                    FakeHub.require(value.path("algo").asText().equals("sha256"), 400, "algo");
                    String oid = value.path("oid").asText();
                    FakeHub.require(
                            hub.objects.containsKey(oid),
                            400,
                            "LFS pointer pointed to a file that does not exist: " + path);
                    FakeHub.require(
                            hub.discard
                                    || !value.has("size")
                                    || value.path("size").asLong() == hub.objects.get(oid).length,
                            400,
                            "size");
                    files.put(
                            path, new Entry(new byte[0], oid, value.path("size").asLong()));
                }
                case "deletedFile" -> {
                    FakeHubApi.keys(value, List.of("path"));
                    FakeHub.require(files.remove(path) != null, 400, "A file with this name doesn't exist");
                }
                default -> throw new Refusal(400, "", "unknown key in " + line);
            }
        }
        Commit made = repo.add(head.id(), title, files);
        ObjectNode answer = FakeHub.JSON
                .createObjectNode()
                .put("success", true)
                .put("commitOid", made.id())
                .put("hookOutput", "");
        answer.put("commitUrl", hub.ownAddress() + "/" + name + "/commit/" + made.id());
        if (pullRequest) {
            repo.pullRequests.add(made);
            repo.branches.put("refs/pr/" + repo.pullRequests.size(), made.id());
            answer.put("pullRequestUrl", hub.ownAddress() + "/" + name + "/discussions/" + repo.pullRequests.size());
        } else {
            repo.branches.put(branch, made.id());
        }
        return Answer.json(answer);
    }

    private static JsonNode line(String line) throws IOException {
        try {
            return FakeHub.JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new Refusal(400, "", "Invalid JSON");
        }
    }

    private static Entry regular(String path, JsonNode value) {
        FakeHubApi.keys(value, List.of("content", "path", "encoding"));
        FakeHub.require(value.path("encoding").asText().equals("base64"), 400, "encoding");
        byte[] content = Base64.getDecoder().decode(value.path("content").asText());
        FakeHub.require(
                content.length <= FakeHubApi.MOST_REGULAR_BYTES,
                400,
                "Your push was rejected because it contains files larger than 10 MiB");
        for (byte b : content) {
            FakeHub.require(b != 0, 400, "Your push was rejected because it contains binary files: " + path);
        }
        if (path.equals("README.md")) {
            List<String> errors = errors(new String(content, StandardCharsets.UTF_8));
            FakeHub.require(errors.isEmpty(), 400, "Invalid metadata in README.md. " + String.join("; ", errors));
        }
        return new Entry(content, "", content.length);
    }
}
