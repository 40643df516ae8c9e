package nibble.hub;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.hub.FakeHub.Answer;
import nibble.hub.FakeHub.Refusal;
import nibble.hub.FakeHub.Seen;
import nibble.hub.FakeHub.User;
import nibble.hub.FakeRepository.Commit;
import nibble.hub.FakeRepository.Entry;

/** The fake hub's answers below {@code /api/} and {@code /oauth/}. */
final class FakeHubApi {
    private static final Pattern MODEL =
            Pattern.compile("/api/models/([^/]+/[^/]+)(?:/([a-z-]+)(?:/([^/]+))?)?(?:/.*)?");
    private static final String DATE = "2026-01-02T03:04:05.000Z";
    static final int MOST_REGULAR_BYTES = 10 << 20;

    private final FakeHub hub;

    FakeHubApi(FakeHub hub) {
        this.hub = hub;
    }

    /** Whether the hub keeps a file as an object, by its name and what it begins with. */
    static boolean isLfs(String path, byte[] beginning) {
        boolean named = path.matches(".*\\.(safetensors|model|bin|gguf|pth|pt|h5|onnx)");
        for (int i = 0; i < Math.min(512, beginning.length); i++) {
            named |= beginning[i] == 0;
        }
        return named;
    }

    Answer answer(HttpExchange exchange, Seen request, byte[] body, Fault fault) throws IOException {
        switch (request.path()) {
            case "/api/whoami-v2" -> {
                User user = hub.required(request);
                ObjectNode json = FakeHub.JSON
                        .createObjectNode()
                        .put("type", "user")
                        .put("id", "5f")
                        .put("name", user.name());
                json.put("fullname", "Me").put("isPro", false);
                user.organizations()
                        .forEach(name -> json.withArrayProperty("orgs")
                                .addObject()
                                .put("type", "org")
                                .put("name", name));
                json.putObject("auth")
                        .put("type", "access_token")
                        .putObject("accessToken")
                        .put("role", user.writes() ? "write" : "read");
                return Answer.json(json);
            }
            case "/api/repos/create" -> {
                FakeHub.require(request.method().equals("POST"), 404, "Sorry, we can't find the page");
                return create(hub.required(request), json(exchange, body, "application/json"));
            }
            case "/api/validate-yaml" -> {
                JsonNode card = json(exchange, body, "application/json");
                keys(card, List.of("content"), "repoType");
                return validated(card.path("content").asText());
            }
            case "/oauth/token" -> {
                FakeHub.require(request.authorization().equals("null"), 400, "a client has no token here");
                return exchanged(new String(body, StandardCharsets.UTF_8));
            }
            default -> {
                Matcher model = MODEL.matcher(request.path());
                if (!model.matches()) {
                    throw new Refusal(404, "", "Sorry, we can't find the page you are looking for.");
                }
                return model(exchange, request, model, body, fault);
            }
        }
    }

    static JsonNode json(HttpExchange exchange, byte[] body, String type) throws IOException {
        String found = String.valueOf(exchange.getRequestHeaders().getFirst("Content-Type"))
                .replaceAll(";.*", "");
        FakeHub.require(found.equals(type), 415, "Content-Type " + found + " is not " + type);
        try {
            return FakeHub.JSON.readTree(body);
        } catch (JsonProcessingException e) {
            throw new Refusal(400, "", "Invalid JSON");
        }
    }

    /** An object with these fields and no others. */
    static void keys(JsonNode json, List<String> required, String... optional) {
        FakeHub.require(json.isObject(), 400, "not an object");
        required.forEach(name -> FakeHub.require(json.has(name), 400, "missing field " + name));
        json.fieldNames()
                .forEachRemaining(name -> FakeHub.require(
                        required.contains(name) || List.of(optional).contains(name), 400, "unknown field " + name));
    }

    private Answer create(User user, JsonNode body) {
        keys(body, List.of("name"), "organization", "type", "visibility", "private", "region", "resourceGroupId");
        String owner = body.path("organization").isTextual()
                ? body.path("organization").asText()
                : user.name();
        String name = owner + "/" + body.path("name").asText();
        FakeHub.require(
                user.writes() && user.owns(name),
                403,
                "You don't have the rights to create a model under the namespace: you are not in " + owner);
        String visibility = body.path("visibility").asText("public");
        FakeHub.require(
                Set.of("public", "private").contains(visibility)
                        && body.path("type").asText("model").equals("model"),
                400,
                "type");
        FakeHub.require(body.path("name").asText().matches("[A-Za-z0-9._-]{1,96}"), 400, "name");
        boolean made = hub.repositories.putIfAbsent(name, new FakeRepository(visibility.equals("private"))) == null;
        ObjectNode answer = FakeHub.JSON.createObjectNode().put("url", hub.endpoint() + "/" + name);
        if (!made) {
            answer.put("error", "You already created this model repo");
            return new Answer(
                    409, Answer.json(answer).body(), Map.of("X-Error-Message", "You already created this model repo"));
        }
        return Answer.json(answer.put("name", name).put("id", "66"));
    }

    private static Answer validated(String card) {
        ObjectNode json = FakeHub.JSON.createObjectNode();
        json.putArray("warnings");
        if (!card.startsWith("---\n")) {
            json.withArrayProperty("warnings")
                    .addObject()
                    .put("message", "empty or missing yaml metadata in repo card");
        }
        json.putArray("errors");
        FakeHubCommits.errors(card)
                .forEach(error -> json.withArrayProperty("errors").addObject().put("message", error));
        Answer answer = Answer.json(json);
        return new Answer(FakeHubCommits.errors(card).isEmpty() ? 200 : 400, answer.body(), answer.headers());
    }

    private Answer exchanged(String form) {
        String refresh = form.replaceAll(".*refresh_token=([^&]+)&client_id=.*", "$1");
        String access = hub.refreshTokens.remove(refresh);
        if (access == null) {
            byte[] body = "{\"error\":\"invalid_grant\",\"error_description\":\"the refresh token is not valid\"}"
                    .getBytes(StandardCharsets.UTF_8);
            return new Answer(400, body, Map.of("Content-Type", "application/json"));
        }
        hub.refreshTokens.put(refresh + "2", access + "2");
        return Answer.json(FakeHub.JSON
                .createObjectNode()
                .put("access_token", access)
                .put("refresh_token", refresh + "2")
                .put("expires_in", 2_592_000)
                .put("token_type", "bearer"));
    }

    private Answer model(HttpExchange exchange, Seen request, Matcher model, byte[] body, Fault fault)
            throws IOException {
        String name = model.group(1);
        String what = model.group(2) == null ? "" : model.group(2);
        FakeRepository repo = hub.visible(request, name);
        boolean pullRequest = "1".equals(FakeHub.query(request).get("create_pr"));
        if (Set.of("preupload", "commit", "branch").contains(what)) {
            User user = hub.required(request);
            FakeHub.require(
                    user.writes() && (user.owns(name) || pullRequest && !what.equals("branch")),
                    403,
                    "Forbidden: you don't have write access to this repo; pass `create_pr=1` as a query parameter to"
                            + " create a Pull Request");
        }
        String revision = model.group(3) == null ? "main" : URLDecoder.decode(model.group(3), StandardCharsets.UTF_8);
        if (what.equals("branch")) {
            JsonNode asked = json(exchange, body, "application/json");
            keys(asked, List.of(), "startingPoint", "emptyBranch", "overwrite");
            FakeHub.require(!repo.branches.containsKey(revision), 409, "Reference already exists");
            FakeHub.require(revision.matches("[A-Za-z0-9][A-Za-z0-9._/-]*"), 400, "Invalid ref");
            Commit from = repo.at(asked.path("startingPoint").asText("main"));
            if (from == null) {
                throw new Refusal(404, "RevisionNotFound", "Invalid rev id");
            }
            FakeHub.require(repo.branches.putIfAbsent(revision, from.id()) == null, 409, "Reference already exists");
            return Answer.json(FakeHub.JSON.createObjectNode());
        }
        Commit commit = repo.at(revision);
        if (commit == null) {
            throw new Refusal(404, "RevisionNotFound", "Invalid rev id: " + revision);
        }
        boolean read = Set.of("", "revision").contains(what);
        FakeHub.require(!read || request.method().equals("GET"), 405, "method");
        return switch (what) {
            case "", "revision" -> info(name, repo, commit);
            case "refs" -> refs(repo);
            case "commits" ->
                page(
                        request,
                        repo.history(revision).stream().map(FakeHubApi::history).toList());
            case "tree" -> page(request, tree(commit));
            case "preupload" -> preupload(commit, json(exchange, body, "application/json"));
            case "commit" -> {
                String type = String.valueOf(exchange.getRequestHeaders().getFirst("Content-Type"))
                        .replaceAll(";.*", "");
                FakeHub.require(type.equals("application/x-ndjson"), 415, "Content-Type must be application/x-ndjson");
                FakeHub.require(!revision.matches("[0-9a-f]{40}"), 400, "commit to a commit");
                yield new FakeHubCommits(hub).commit(name, repo, revision, pullRequest, body, fault);
            }
            default -> throw new Refusal(404, "", "no such endpoint");
        };
    }

    private Answer info(String name, FakeRepository repo, Commit commit) {
        ObjectNode json = FakeHub.JSON
                .createObjectNode()
                .put("_id", "6")
                .put("id", name)
                .put("modelId", name)
                .put("sha", commit.id());
        json.put("private", repo.isPrivate)
                .put("disabled", false)
                .put("lastModified", DATE)
                .put("createdAt", DATE);
        json.put("downloads", 0).put("likes", 0).put("usedStorage", 1).putArray("tags");
        if (hub.gated.containsKey(name)) {
            json.put("gated", "auto");
        } else {
            json.put("gated", false);
        }
        commit.files()
                .keySet()
                .forEach(path -> json.withArrayProperty("siblings").addObject().put("rfilename", path));
        return Answer.json(json);
    }

    private static JsonNode history(Commit commit) {
        ObjectNode json = FakeHub.JSON
                .createObjectNode()
                .put("id", commit.id())
                .put("title", commit.title())
                .put("message", "");
        json.put("date", DATE).putArray("authors").addObject().put("user", "me");
        return json;
    }

    private static Answer refs(FakeRepository repo) {
        ObjectNode json = FakeHub.JSON.createObjectNode();
        json.putArray("tags");
        json.putArray("converts");
        ArrayNode branches = json.putArray("branches");
        repo.branches.forEach((name, id) -> branches.addObject()
                .put("name", name)
                .put("ref", "refs/heads/" + name)
                .put("targetCommit", id));
        return Answer.json(json);
    }

    private static List<JsonNode> tree(Commit commit) {
        List<JsonNode> entries = new ArrayList<>();
        Set<String> folders = new TreeSet<>();
        for (Map.Entry<String, Entry> file : commit.files().entrySet()) {
            int slash = file.getKey().lastIndexOf('/');
            if (slash > 0 && folders.add(file.getKey().substring(0, slash))) {
                entries.add(FakeHub.JSON
                        .createObjectNode()
                        .put("type", "directory")
                        .put("oid", "0".repeat(40))
                        .put("size", 0)
                        .put("path", file.getKey().substring(0, slash)));
            }
            ObjectNode json =
                    FakeHub.JSON.createObjectNode().put("type", "file").put("path", file.getKey());
            json.put("size", file.getValue().size());
            if (file.getValue().lfs()) {
                String oid = file.getValue().lfsOid();
                json.put("oid", FakeRepository.gitBlob(oid.getBytes(StandardCharsets.UTF_8)));
                json.putObject("lfs")
                        .put("oid", oid)
                        .put("size", file.getValue().size())
                        .put("pointerSize", 135);
            } else {
                json.put("oid", FakeRepository.gitBlob(file.getValue().content()));
            }
            entries.add(json);
        }
        return entries;
    }

    /** A page of a listing; the next one's address has all parameters of this one's. */
    private Answer page(Seen request, List<JsonNode> all) {
        Map<String, String> query = new TreeMap<>(FakeHub.query(request));
        int at = Integer.parseInt(
                new String(Base64.getDecoder().decode(query.getOrDefault("cursor", "MA==")), StandardCharsets.UTF_8));
        ArrayNode page = FakeHub.JSON.createArrayNode();
        int end = Math.min(all.size(), at + hub.pageSize);
        all.subList(at, end).forEach(page::add);
        Answer answer = Answer.json(page);
        if (end == all.size()) {
            return answer;
        }
        query.put(
                "cursor", Base64.getEncoder().encodeToString(String.valueOf(end).getBytes(StandardCharsets.UTF_8)));
        query.putIfAbsent("limit", String.valueOf(hub.pageSize));
        StringBuilder next = new StringBuilder(hub.ownAddress() + request.path());
        query.forEach((key, value) -> next.append(next.indexOf("?") < 0 ? '?' : '&')
                .append(key)
                .append('=')
                .append(URLEncoder.encode(value, StandardCharsets.UTF_8)));
        return answer.with("Link", "<" + next + ">; rel=\"next\"");
    }

    private static Answer preupload(Commit commit, JsonNode body) {
        keys(body, List.of("files"), "gitIgnore", "gitAttributes");
        ObjectNode answer = FakeHub.JSON.createObjectNode().put("commitOid", commit.id());
        ArrayNode files = answer.putArray("files");
        FakeHub.require(body.path("files").size() <= 256, 413, "too many files");
        for (JsonNode file : body.path("files")) {
            keys(file, List.of("path", "size", "sample"), "sha");
            String path = file.path("path").asText();
            byte[] sample = Base64.getDecoder().decode(file.path("sample").asText());
            FakeHub.require(sample.length == Math.min(512, file.path("size").asLong(-1)), 400, "sample of " + path);
            boolean lfs = isLfs(path, sample) || file.path("size").asLong() > MOST_REGULAR_BYTES;
            ObjectNode entry = files.addObject()
                    .put("path", path)
                    .put("uploadMode", lfs ? "lfs" : "regular")
                    .put("shouldIgnore", false);
            Entry known = commit.files().get(path);
            if (known != null) {
                entry.put("oid", known.lfs() ? known.lfsOid() : FakeRepository.gitBlob(known.content()));
            }
        }
        return Answer.json(answer);
    }
}
