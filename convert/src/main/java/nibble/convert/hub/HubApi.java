package nibble.convert.hub;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The hub's requests about one model repository, each a method; what goes over the wire is here and in {@link LfsStore}. */
final class HubApi {
    /** Most files that one preupload or LFS batch request may name. */
    static final int BATCH_FILES = 256;

    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");
    private static final Pattern NEXT_PAGE = Pattern.compile("<([^>]+)>\\s*;\\s*rel=\"?next\"?");

    private final HubHttp http;
    private final RepoName repo;

    HubApi(HubHttp http, RepoName repo) {
        this.http = http;
        this.repo = repo;
    }

    /** How a file is to be sent, and what the repository holds under its name now. */
    record Preupload(String path, boolean lfs, boolean ignored, String remoteOid) {}

    /**
     * A file of a revision.
     *
     * @param etag what its content is known by: SHA-256 of a large file, git's SHA-1 of a small one
     */
    record RemoteFile(String path, long bytes, String etag) {}

    /** The result of a commit. */
    record Committed(String commit, String url, String pullRequestUrl) {}

    /** Waits as before any other repeated request. */
    void pause(int attempt) {
        http.pause(attempt);
    }

    /** The name of the token's owner. */
    String whoami() {
        return text(http.json(HubCall.get(http.uri("/api/whoami-v2"))), "name", "/api/whoami-v2");
    }

    /**
     * Makes the repository unless it exists.
     *
     * @param user who makes it; an owner of another name is an organization
     * @return whether it was made
     */
    boolean create(String user, boolean privately) {
        ObjectNode body = HubHttp.JSON.createObjectNode();
        body.put("name", repo.name()).put("type", "model");
        if (repo.owner().equals(user)) {
            body.putNull("organization");
        } else {
            body.put("organization", repo.owner());
        }
        if (privately) {
            body.put("visibility", "private");
        }
        try {
            http.send(HubCall.post(http.uri("/api/repos/create"), "application/json", body.toString()));
            return true;
        } catch (HubException e) {
            // A token may lack the right to make repositories and still have that to write to this one.
            boolean mayExist = e.status() == 409 || e.status() == 401 || e.status() == 402 || e.status() == 403;
            if (mayExist && exists()) {
                return false;
            }
            throw e;
        }
    }

    boolean exists() {
        try {
            http.send(HubCall.get(http.uri("/api/models/" + repo)));
            return true;
        } catch (HubException e) {
            if (e.status() == 404 || e.status() == 401 || e.status() == 403) {
                return false;
            }
            throw e;
        }
    }

    /** The commit at the tip of a branch; empty if there is no such branch. */
    Optional<String> head(String revision) {
        try {
            JsonNode info = http.json(HubCall.get(http.uri("/api/models/" + repo + "/revision/" + quoted(revision))));
            return Optional.of(commit(info.path("sha").asText("")));
        } catch (HubException e) {
            if (e.status() == 404 && !e.errorCode().equals("RepoNotFound")) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /** The first commit of the default branch, which holds nothing but .gitattributes. */
    String firstCommit() {
        List<JsonNode> commits = pages("/api/models/" + repo + "/commits/main");
        if (commits.isEmpty()) {
            throw new HubException(repo + ": has no commits; publish to main first");
        }
        return commit(commits.getLast().path("id").asText(""));
    }

    /** Makes a branch at a commit; one that another has just made is fine. */
    void createBranch(String branch, String at) {
        ObjectNode body = HubHttp.JSON.createObjectNode().put("startingPoint", at);
        try {
            http.send(HubCall.post(
                    http.uri("/api/models/" + repo + "/branch/" + quoted(branch)), "application/json", body.toString()));
        } catch (HubException e) {
            if (e.status() != 409) {
                throw e;
            }
        }
    }

    /** All files of a revision. */
    List<RemoteFile> tree(String revision) {
        List<RemoteFile> files = new ArrayList<>();
        for (JsonNode entry : pages("/api/models/" + repo + "/tree/" + quoted(revision) + "?recursive=true")) {
            if (entry.path("type").asText("").equals("file")) {
                String gitId = entry.path("oid").asText("");
                files.add(new RemoteFile(
                        entry.path("path").asText(""),
                        entry.path("size").asLong(-1),
                        entry.path("lfs").path("oid").asText(gitId)));
            }
        }
        return files;
    }

    private List<JsonNode> pages(String path) {
        List<JsonNode> entries = new ArrayList<>();
        Optional<URI> next = Optional.of(http.uri(path));
        while (next.isPresent()) {
            HttpResponse<byte[]> response = http.send(HubCall.get(next.get()));
            JsonNode page = parse(response.body(), path);
            page.forEach(entries::add);
            Matcher link = NEXT_PAGE.matcher(response.headers().firstValue("link").orElse(""));
            next = link.find() && page.size() > 0 ? Optional.of(sameHost(next.get(), link.group(1))) : Optional.empty();
        }
        return entries;
    }

    private URI sameHost(URI page, String link) {
        URI next = page.resolve(link);
        if (!HubHttp.sameOrigin(next, http.settings().endpoint())) {
            throw new HubException(HubHttp.shown(page) + ": its next page is at another host, " + HubHttp.shown(next)
                    + "; not followed. Check HF_ENDPOINT");
        }
        return next;
    }

    /** Asks how each file is to be sent, in as many requests as needed. */
    Map<String, Preupload> preupload(String revision, List<LocalFile> files) {
        Map<String, Preupload> answers = new HashMap<>();
        for (int from = 0; from < files.size(); from += BATCH_FILES) {
            List<LocalFile> part = files.subList(from, Math.min(files.size(), from + BATCH_FILES));
            ObjectNode body = HubHttp.JSON.createObjectNode();
            ArrayNode list = body.putArray("files");
            for (LocalFile file : part) {
                list.addObject()
                        .put("path", file.path())
                        .put("sample", Base64.getEncoder().encodeToString(file.sample()))
                        .put("size", file.bytes());
            }
            String path = "/api/models/" + repo + "/preupload/" + quoted(revision);
            JsonNode answer = http.json(HubCall.post(http.uri(path), "application/json", body.toString()));
            for (JsonNode entry : answer.path("files")) {
                String mode = entry.path("uploadMode").asText("");
                if (!mode.equals("lfs") && !mode.equals("regular")) {
                    throw new HubException(path + ": upload mode \"" + mode + "\" for " + entry.path("path")
                            + " is unknown, expected lfs or regular; a newer version of nibble may know it");
                }
                String name = entry.path("path").asText("");
                answers.put(
                        name,
                        new Preupload(
                                name,
                                mode.equals("lfs"),
                                entry.path("shouldIgnore").asBoolean(false),
                                entry.path("oid").asText("")));
            }
            for (LocalFile file : part) {
                if (!answers.containsKey(file.path())) {
                    throw new HubException(path + ": the answer leaves out " + file.path() + "; run again later");
                }
            }
        }
        return answers;
    }

    /** Sends a commit once: an answer that is lost must not become a second commit. */
    Committed commit(String revision, String lines, boolean pullRequest) {
        String path = "/api/models/" + repo + "/commit/" + quoted(revision) + (pullRequest ? "?create_pr=1" : "");
        JsonNode answer = http.json(HubCall.post(http.uri(path), "application/x-ndjson", lines).once());
        return new Committed(
                commit(answer.path("commitOid").asText("")),
                answer.path("commitUrl").asText(""),
                answer.path("pullRequestUrl").asText(""));
    }

    private static JsonNode parse(byte[] body, String path) {
        try {
            return HubHttp.JSON.readTree(body);
        } catch (java.io.IOException e) {
            throw new HubException(path + ": the answer is not JSON; is this a model hub?", -1, "", e);
        }
    }

    private static String text(JsonNode json, String key, String path) {
        String value = json.path(key).asText("");
        if (value.isEmpty()) {
            throw new HubException(path + ": the answer has no \"" + key + "\"; is HF_ENDPOINT a model hub?");
        }
        return value;
    }

    private String commit(String found) {
        if (!COMMIT.matcher(found).matches()) {
            throw new HubException(repo + ": the hub names a commit \"" + found + "\", expected 40 hexadecimal digits; is "
                    + http.settings().endpoint() + " a model hub?");
        }
        return found;
    }

    /** A revision as one segment of a path: {@code refs/pr/1} becomes {@code refs%2Fpr%2F1}. */
    static String quoted(String revision) {
        return URLEncoder.encode(revision, StandardCharsets.UTF_8).replace("+", "%20");
    }
}
