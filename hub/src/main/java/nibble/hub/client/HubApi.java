package nibble.hub.client;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpHeaders;
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

/**
 * Sends the hub's requests about one model repository, each by a method; what goes over the wire is here and in {@link
 * LfsStore}.
 */
public final class HubApi {
    /** Most files that one preupload or LFS batch request may name. */
    static final int BATCH_FILES = 256;

    private static final int CREATE_TRIES = 5;

    private static final String CARD_ADVICE = "; correct the lines between the --- at its top, nothing was sent";

    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");
    private static final Pattern NEXT_PAGE = Pattern.compile("<([^>]+)>\\s*;\\s*rel=\"?next\"?");

    private final HubHttp http;
    private final RepoName repo;

    public HubApi(HubHttp http, RepoName repo) {
        this.http = http;
        this.repo = repo;
    }

    /** Says how a file is to be sent, and what the repository holds under its name now. */
    public record Preupload(String path, boolean lfs, boolean ignored, String remoteOid) {}

    /**
     * Describes a file of a revision.
     *
     * @param etag what its content is known by: SHA-256 of a large file, git's SHA-1 of a small one
     * @param gitId git's SHA-1 of a small file's content, or of what stands for a large one
     */
    public record RemoteFile(String path, long bytes, String etag, String gitId) {
        private static final Pattern ETAG = Pattern.compile("[0-9a-f]{40}|[0-9a-f]{64}");

        public boolean large() {
            return etag.length() == 64;
        }

        /** Returns whether the path can be a file's name here: a hub's path must not lead elsewhere. */
        public boolean safe() {
            boolean safe = !path.isEmpty()
                    && path.length() < 1024
                    && path.chars().noneMatch(c -> c < ' ' || c == '\\' || c == ':');
            for (String part : path.split("/", -1)) {
                safe &= !part.isEmpty() && !part.equals(".") && !part.equals("..");
            }
            return safe;
        }

        /** Returns whether the hub says how long it is and what it holds. */
        public boolean known() {
            return bytes >= 0 && ETAG.matcher(etag).matches();
        }
    }

    /**
     * Holds what the hub says of the repository.
     *
     * @param isPrivate whether only its owners see it; empty if it does not say
     */
    public record Info(Optional<Boolean> isPrivate) {}

    /**
     * Says whose the token is.
     *
     * @param name the account
     * @param readOnly whether the token may not write anything
     */
    public record Account(String name, boolean readOnly) {}

    /**
     * Holds the result of a commit.
     *
     * @param made whether there is a new one; else all was there already
     */
    public record Committed(String commit, boolean made, String url, String pullRequestUrl) {}

    /** Waits as before any other repeated request. */
    public void pause(int attempt, String why) {
        http.pause(attempt, why);
    }

    HubMessages messages() {
        return http.messages();
    }

    /** Returns the token's owner. */
    public Account whoami() {
        JsonNode json = http.json(HubCall.get(http.uri("/api/whoami-v2")));
        String role = json.path("auth").path("accessToken").path("role").asText("");
        return new Account(text(json, "name", "/api/whoami-v2"), role.equals("read"));
    }

    /**
     * Makes the repository unless it exists.
     *
     * @param user who makes it; an owner of another name is an organization
     * @return whether it was made
     */
    public boolean create(String user, boolean privately) {
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
        for (int attempt = 1; ; attempt++) {
            try {
                http.send(HubCall.post(http.uri("/api/repos/create"), "application/json", body.toString()));
                return true;
            } catch (HubException e) {
                // A token may lack the right to make repositories and still have that to write to this one.
                boolean mayExist = e.status() == 409 || e.status() == 401 || e.status() == 402 || e.status() == 403;
                if (mayExist && info().isPresent()) {
                    return false;
                }
                // An account's repositories are made one after the other; another is being made.
                if (e.status() != 409 || attempt == CREATE_TRIES) {
                    throw e;
                }
                http.pause(attempt, e.getMessage());
            }
        }
    }

    /** Asks the hub about the repository; empty if there is none, or none that may be seen. */
    public Optional<Info> info() {
        HubCall call = HubCall.get(http.uri("/api/models/" + repo));
        try {
            JsonNode json = http.json(call);
            if (!json.isObject()) {
                throw http.messages()
                        .failure(call, "the answer says nothing of a repository; is HF_ENDPOINT a model hub?");
            }
            JsonNode isPrivate = json.path("private");
            return Optional.of(
                    new Info(isPrivate.isBoolean() ? Optional.of(isPrivate.booleanValue()) : Optional.empty()));
        } catch (HubException e) {
            if (e.status() == 404 || e.status() == 401 || e.status() == 403) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /**
     * Has a model card's metadata checked, as a commit would be.
     *
     * @return what the hub would rather have otherwise
     * @throws HubException with what it refuses
     */
    public List<String> validateCard(String content) {
        ObjectNode body =
                HubHttp.JSON.createObjectNode().put("content", content).put("repoType", "model");
        HubCall call = HubCall.post(http.uri("/api/validate-yaml"), "application/json", body.toString());
        try {
            JsonNode answer = http.json(call);
            requireValid(texts(answer.path("errors")));
            return texts(answer.path("warnings"));
        } catch (HubException e) {
            if (e.status() == 404 || e.status() == 405 || e.status() == 501) {
                // A hub that does not check cards.
                return List.of();
            }
            throw e.status() == 400
                    ? e.told("README.md: the hub refuses its metadata: " + e.getMessage() + CARD_ADVICE)
                    : e;
        }
    }

    private static void requireValid(List<String> errors) {
        if (!errors.isEmpty()) {
            throw new HubException(
                    "README.md: the hub refuses its metadata: " + String.join("; ", errors) + CARD_ADVICE);
        }
    }

    private static List<String> texts(JsonNode list) {
        List<String> texts = new ArrayList<>();
        list.forEach(one -> texts.add(one.path("message").asText("")));
        return texts;
    }

    /** Returns the commit at the tip of a branch; empty if there is no such branch. */
    public Optional<String> head(String revision) {
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

    /** Returns the first commit of the default branch, which holds nothing but .gitattributes. */
    public String firstCommit() {
        List<JsonNode> commits = pages("/api/models/" + repo + "/commits/main");
        if (commits.isEmpty()) {
            throw new HubException(repo + ": has no commits; publish to main first");
        }
        return commit(commits.getLast().path("id").asText(""));
    }

    /** Makes a branch at a commit; one that another has just made is fine. */
    public void createBranch(String branch, String at) {
        ObjectNode body = HubHttp.JSON.createObjectNode().put("startingPoint", at);
        try {
            http.send(HubCall.post(
                    http.uri("/api/models/" + repo + "/branch/" + quoted(branch)),
                    "application/json",
                    body.toString()));
        } catch (HubException e) {
            if (e.status() != 409) {
                throw e;
            }
        }
    }

    /** Returns all files of a revision. */
    public List<RemoteFile> tree(String revision) {
        List<RemoteFile> files = new ArrayList<>();
        String path = "/api/models/" + repo + "/tree/" + quoted(revision) + "?recursive=true";
        for (JsonNode entry : pages(path)) {
            if (!entry.path("type").isTextual() || !entry.path("path").isTextual()) {
                throw http.messages()
                        .failure(
                                HubCall.get(http.uri(path)),
                                "an entry of the list of files has no \"type\" or no \"path\"; is "
                                        + http.settings().endpoint() + " a model hub?");
            }
            if (entry.path("type").asText("").equals("file")) {
                String gitId = entry.path("oid").asText("");
                files.add(new RemoteFile(
                        entry.path("path").asText(""),
                        entry.path("size").asLong(-1),
                        entry.path("lfs").path("oid").asText(gitId),
                        gitId));
            }
        }
        return files;
    }

    private List<JsonNode> pages(String path) {
        List<JsonNode> entries = new ArrayList<>();
        Optional<URI> next = Optional.of(http.uri(path));
        while (next.isPresent()) {
            HubCall call = HubCall.get(next.get());
            HttpResponse<byte[]> response = http.send(call);
            JsonNode page = http.messages().parse(call, response.body());
            if (!page.isArray()) {
                throw http.messages()
                        .failure(
                                call,
                                "the answer is no list; is " + http.settings().endpoint() + " a model hub?");
            }
            page.forEach(entries::add);
            next = page.isEmpty() ? Optional.empty() : nextPage(next.get(), response.headers());
        }
        return entries;
    }

    /**
     * The page that follows, at the host that was asked: of an address elsewhere, as behind a mirror, only the query is
     * taken.
     */
    private Optional<URI> nextPage(URI page, HttpHeaders headers) {
        for (String link : headers.allValues("link")) {
            Matcher found = NEXT_PAGE.matcher(link);
            if (found.find()) {
                try {
                    URI next = page.resolve(http.here(found.group(1)));
                    String path = http.atHub(next) ? next.getRawPath() : page.getRawPath();
                    return Optional.of(URI.create(page.getScheme() + "://" + page.getRawAuthority() + path
                            + (next.getRawQuery() == null ? "" : "?" + next.getRawQuery())));
                } catch (IllegalArgumentException e) {
                    throw http.messages()
                            .failure(HubCall.get(page), "the address of its next page is malformed; run again later");
                }
            }
        }
        return Optional.empty();
    }

    /**
     * Asks how each file is to be sent, in as many requests as needed.
     *
     * @param pullRequest whether they are to become one: that needs no right to write to the repository
     */
    public Map<String, Preupload> preupload(String revision, List<LocalFile> files, boolean pullRequest) {
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
            String path =
                    "/api/models/" + repo + "/preupload/" + quoted(revision) + (pullRequest ? "?create_pr=1" : "");
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
    public Committed commit(String revision, String lines, boolean pullRequest) {
        String path = "/api/models/" + repo + "/commit/" + quoted(revision) + (pullRequest ? "?create_pr=1" : "");
        JsonNode answer = http.json(
                HubCall.post(http.uri(path), "application/x-ndjson", lines).once());
        return new Committed(
                commit(answer.path("commitOid").asText("")),
                true,
                http.messages().masked(answer.path("commitUrl").asText("")),
                http.messages().masked(answer.path("pullRequestUrl").asText("")));
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
            throw new HubException(
                    repo + ": the hub names a commit \"" + found + "\", expected 40 hexadecimal digits; is "
                            + http.settings().endpoint() + " a model hub?");
        }
        return found;
    }

    /** Returns a revision as one segment of a path: {@code refs/pr/1} becomes {@code refs%2Fpr%2F1}. */
    public static String quoted(String revision) {
        return URLEncoder.encode(revision, StandardCharsets.UTF_8).replace("+", "%20");
    }
}
