package nibble.convert.hub;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import nibble.convert.hub.FakeRepository.Commit;
import nibble.convert.hub.FakeRepository.Entry;

/**
 * A model hub in this process, as strict as the real one about lengths, hashes, tokens and parents, with faults to order. The
 * endpoint is at 127.0.0.1 and the object store at localhost: two hosts to a client.
 */
public final class FakeHub implements AutoCloseable {
    /** The token that may do everything. */
    public static final String TOKEN = "hf_secretSECRETsecret";

    private static final ObjectMapper JSON = new ObjectMapper();

    static {
        // Else each small answer waits 40 ms for the client's delayed acknowledgement.
        System.setProperty("sun.net.httpserver.nodelay", "true");
    }

    /** A request as it came in. */
    public record Seen(String method, String host, String path, String query, String authorization, long contentLength) {}

    final Map<String, FakeRepository> repositories = new ConcurrentHashMap<>();
    final Map<String, byte[]> objects = new ConcurrentHashMap<>();
    final List<Seen> seen = new CopyOnWriteArrayList<>();
    final List<Fault> faults = new CopyOnWriteArrayList<>();
    /** Objects of more bytes go in parts of this size. */
    long partBytes = Long.MAX_VALUE;
    /** Entries of a page of a listing. */
    int pageSize = 2;
    /** Takes object content and keeps none, for files that do not fit this process. */
    boolean discard;

    private final Map<String, Map<Integer, byte[]>> parts = new ConcurrentHashMap<>();
    private final AtomicInteger uploads = new AtomicInteger();
    private final HttpServer server;
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();

    public FakeHub() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(threads);
        server.createContext("/", this::handle);
        server.start();
    }

    public String endpoint() {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    String storeEndpoint() {
        return "http://localhost:" + server.getAddress().getPort();
    }

    public List<Seen> seen() {
        return seen;
    }

    /** The content of a file of a branch; null if it has none or its object is missing. */
    public byte[] content(String repo, String branch, String path) {
        Commit commit = repositories.get(repo).at(branch);
        Entry entry = commit == null ? null : commit.files().get(path);
        return entry == null ? null : entry.lfs() ? objects.get(entry.lfsOid()) : entry.content();
    }

    /** Puts files into a new repository's main branch as a hub would hold them. */
    public void put(String repo, Map<String, byte[]> files) {
        FakeRepository repository = repositories.computeIfAbsent(repo, _ -> new FakeRepository(false));
        Map<String, Entry> entries = new TreeMap<>(repository.at("main").files());
        files.forEach((path, content) -> {
            boolean lfs = isLfs(path);
            String oid = lfs ? FakeRepository.hex("SHA-256", content) : "";
            if (lfs) {
                objects.put(oid, content);
            }
            entries.put(path, new Entry(lfs ? new byte[0] : content, oid, content.length));
        });
        Commit commit = repository.add(repository.branches.get("main"), "put", entries);
        repository.branches.put("main", commit.id());
    }

    private static boolean isLfs(String path) {
        return path.endsWith(".safetensors") || path.endsWith(".model") || path.endsWith(".bin");
    }

    private record Answer(int status, byte[] body, Map<String, String> headers) {
        static Answer json(JsonNode json) {
            return new Answer(200, json.toString().getBytes(StandardCharsets.UTF_8), Map.of("Content-Type", "application/json"));
        }

        static Answer error(int status, String code, String message) {
            byte[] body = ("{\"error\":\"" + message + "\"}").getBytes(StandardCharsets.UTF_8);
            return new Answer(status, body, code.isEmpty() ? Map.of("X-Request-Id", "req-7") : Map.of("X-Error-Code", code, "X-Request-Id", "req-7"));
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        URI uri = exchange.getRequestURI();
        String length = exchange.getRequestHeaders().getFirst("Content-Length");
        Seen request = new Seen(
                exchange.getRequestMethod(),
                String.valueOf(exchange.getRequestHeaders().getFirst("Host")).replaceAll(":.*", ""),
                uri.getRawPath(),
                String.valueOf(uri.getRawQuery()),
                String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")),
                length == null ? -1 : Long.parseLong(length));
        seen.add(request);
        Fault fault = faults.stream()
                .filter(f -> f.when.test(request) && f.left.getAndDecrement() > 0)
                .findFirst()
                .orElse(null);
        try (exchange) {
            if (fault != null && fault.kind == Fault.Kind.STATUS) {
                exchange.getRequestBody().readAllBytes();
                Answer refused = Answer.error(fault.status, "", "ordered fault");
                Map<String, String> headers = new TreeMap<>(refused.headers());
                headers.putAll(fault.headers);
                respond(exchange, new Answer(fault.status, refused.body(), headers), null);
                return;
            }
            if (fault != null && fault.kind == Fault.Kind.CUT_REQUEST) {
                exchange.getRequestBody().readNBytes((int) fault.at);
                return;
            }
            Answer answer = answer(exchange, request, fault);
            if (fault == null || fault.kind != Fault.Kind.LOSE_ANSWER) {
                respond(exchange, answer, fault);
            }
        } catch (RuntimeException e) {
            e.printStackTrace();
            throw e;
        }
    }

    private static void respond(HttpExchange exchange, Answer answer, Fault fault) throws IOException {
        answer.headers().forEach(exchange.getResponseHeaders()::set);
        byte[] body = answer.body();
        if (exchange.getRequestMethod().equals("HEAD")) {
            exchange.getResponseHeaders().putIfAbsent("Content-Length", List.of(String.valueOf(body.length)));
            exchange.sendResponseHeaders(answer.status(), -1);
            return;
        }
        exchange.sendResponseHeaders(answer.status(), body.length == 0 ? -1 : body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            if (fault != null && fault.kind == Fault.Kind.CUT_ANSWER) {
                out.write(body, 0, (int) fault.at);
                out.flush();
                throw new IOException("ordered cut");
            }
            if (fault != null && fault.kind == Fault.Kind.FLIP_BYTE) {
                body = body.clone();
                body[body.length / 2] ^= 1;
            }
            out.write(body);
        }
    }

    private Answer answer(HttpExchange exchange, Seen request, Fault fault) throws IOException {
        String path = request.path();
        if (path.startsWith("/store/")) {
            return store(exchange, request, fault);
        }
        if (request.authorization().equals("null") && !path.contains("/resolve/") && !request.method().equals("GET")) {
            return Answer.error(401, "", "who are you");
        }
        if (!request.authorization().equals("null") && !request.authorization().equals("Bearer " + TOKEN)) {
            return Answer.error(401, "", "Invalid credentials: " + request.authorization());
        }
        byte[] body = exchange.getRequestBody().readAllBytes();
        if (path.equals("/api/whoami-v2")) {
            return request.authorization().equals("null")
                    ? Answer.error(401, "", "who are you")
                    : Answer.json(JSON.readTree("{\"name\":\"me\",\"orgs\":[{\"name\":\"org\"}]}"));
        }
        if (path.equals("/api/repos/create")) {
            return create(JSON.readTree(body));
        }
        synchronized (this) {
            return path.startsWith("/api/models/") ? api(request, body, fault) : git(exchange, request, body);
        }
    }

    private Answer create(JsonNode body) {
        String owner = body.path("organization").asText("me");
        if (!owner.equals("null") && !owner.equals("me") && !owner.equals("org")) {
            return Answer.error(403, "", "you are not in " + owner);
        }
        String name = (body.path("organization").isNull() ? "me" : owner) + "/" + body.path("name").asText();
        boolean isPrivate = body.path("visibility").asText("").equals("private");
        return repositories.putIfAbsent(name, new FakeRepository(isPrivate)) == null
                ? Answer.json(JSON.createObjectNode().put("url", endpoint() + "/" + name))
                : Answer.error(409, "", "You already created this model repo");
    }

    private Answer api(Seen request, byte[] body, Fault fault) throws IOException {
        String[] p = request.path().split("/");
        FakeRepository repo = repositories.get(p[3] + "/" + p[4]);
        if (repo == null) {
            return Answer.error(404, "RepoNotFound", "Repository not found");
        }
        if (p.length == 5) {
            return Answer.json(JSON.createObjectNode().put("id", p[3] + "/" + p[4]));
        }
        String revision = URLDecoder.decode(p[6], StandardCharsets.UTF_8);
        if (p[5].equals("branch")) {
            String from = JSON.readTree(body).path("startingPoint").asText("main");
            return repo.branches.putIfAbsent(revision, repo.at(from).id()) == null
                    ? Answer.json(JSON.createObjectNode())
                    : Answer.error(409, "", "Reference already exists");
        }
        Commit commit = repo.at(revision);
        if (commit == null) {
            return Answer.error(404, "RevisionNotFound", "Invalid rev id: " + revision);
        }
        return switch (p[5]) {
            case "revision" -> Answer.json(JSON.createObjectNode().put("sha", commit.id()));
            case "commits" -> page(request, repo.history(revision).stream()
                    .<JsonNode>map(c -> JSON.createObjectNode().put("id", c.id()).put("title", c.title()))
                    .toList());
            case "tree" -> page(request, commit.files().entrySet().stream().map(FakeHub::treeEntry).toList());
            case "preupload" -> preupload(commit, JSON.readTree(body));
            case "commit" -> commit(repo, revision, request, body, fault);
            default -> Answer.error(404, "", "no such endpoint");
        };
    }

    private static JsonNode treeEntry(Map.Entry<String, Entry> file) {
        ObjectNode json = JSON.createObjectNode().put("type", "file").put("path", file.getKey()).put("size", file.getValue().size());
        if (file.getValue().lfs()) {
            json.put("oid", FakeRepository.gitBlob(file.getValue().lfsOid().getBytes(StandardCharsets.UTF_8)));
            json.putObject("lfs").put("oid", file.getValue().lfsOid());
        } else {
            json.put("oid", FakeRepository.gitBlob(file.getValue().content()));
        }
        return json;
    }

    private Answer page(Seen request, List<JsonNode> all) {
        int at = request.query().contains("cursor=") ? Integer.parseInt(request.query().replaceAll(".*cursor=(\\d+).*", "$1")) : 0;
        ArrayNode page = JSON.createArrayNode();
        all.subList(at, Math.min(all.size(), at + pageSize)).forEach(page::add);
        Answer answer = Answer.json(page);
        if (at + pageSize >= all.size()) {
            return answer;
        }
        String next = "<" + endpoint() + request.path() + "?recursive=true&cursor=" + (at + pageSize) + ">; rel=\"next\"";
        return new Answer(200, answer.body(), Map.of("Link", next));
    }

    private static Answer preupload(Commit commit, JsonNode body) {
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode files = answer.putArray("files");
        for (JsonNode file : body.path("files")) {
            String path = file.path("path").asText();
            ObjectNode entry = files.addObject().put("path", path).put("uploadMode", isLfs(path) ? "lfs" : "regular");
            entry.put("shouldIgnore", false);
            Entry known = commit.files().get(path);
            if (known != null) {
                entry.put("oid", known.lfs() ? known.lfsOid() : FakeRepository.gitBlob(known.content()));
            }
        }
        return Answer.json(answer);
    }

    private Answer commit(FakeRepository repo, String branch, Seen request, byte[] body, Fault fault) throws IOException {
        if (fault != null && fault.kind == Fault.Kind.OVERTAKE) {
            Map<String, Entry> files = new TreeMap<>(repo.at(branch).files());
            files.put("other.txt", new Entry("other".getBytes(StandardCharsets.UTF_8), "", 5));
            repo.branches.put(branch, repo.add(repo.at(branch).id(), "somebody else's", files).id());
        }
        Commit head = repo.at(branch);
        Map<String, Entry> files = new TreeMap<>(head.files());
        String title = "";
        for (String line : new String(body, StandardCharsets.UTF_8).split("\n")) {
            JsonNode json = JSON.readTree(line);
            JsonNode value = json.path("value");
            String path = value.path("path").asText();
            switch (json.path("key").asText()) {
                case "header" -> {
                    title = value.path("summary").asText();
                    if (value.has("parentCommit") && !value.path("parentCommit").asText().equals(head.id())) {
                        return Answer.error(412, "", "A commit has happened since");
                    }
                }
                case "file" -> {
                    byte[] content = Base64.getDecoder().decode(value.path("content").asText());
                    files.put(path, new Entry(content, "", content.length));
                }
                case "lfsFile" -> {
                    String oid = value.path("oid").asText();
                    if (!objects.containsKey(oid)) {
                        return Answer.error(400, "", "LFS object " + oid + " is missing");
                    }
                    files.put(path, new Entry(new byte[0], oid, value.path("size").asLong()));
                }
                case "deletedFile" -> files.remove(path);
                default -> {
                    return Answer.error(400, "", "unknown key in " + line);
                }
            }
        }
        Commit made = repo.add(head.id(), title, files);
        ObjectNode answer = JSON.createObjectNode().put("commitOid", made.id()).put("commitUrl", endpoint() + "/commit/" + made.id());
        if (request.query().contains("create_pr=1")) {
            repo.pullRequests.add(made);
            answer.put("pullRequestUrl", endpoint() + "/discussions/" + repo.pullRequests.size());
        } else {
            repo.branches.put(branch, made.id());
        }
        return Answer.json(answer);
    }

    /** Paths below a repository's own name: LFS and files. */
    private Answer git(HttpExchange exchange, Seen request, byte[] body) throws IOException {
        String[] p = request.path().split("/", 6);
        if (request.path().endsWith(".git/info/lfs/objects/batch")) {
            return batch(JSON.readTree(body));
        }
        if (p.length == 6 && p[3].equals("resolve")) {
            return resolve(exchange, p[1] + "/" + p[2], URLDecoder.decode(p[4], StandardCharsets.UTF_8), p[5]);
        }
        JsonNode json = JSON.readTree(body);
        String oid = json.path("oid").asText();
        if (request.path().startsWith("/lfs/verify")) {
            byte[] object = objects.get(oid);
            boolean right = object != null && (discard || object.length == json.path("size").asLong() && FakeRepository.hex("SHA-256", object).equals(oid));
            return right ? Answer.json(JSON.createObjectNode()) : Answer.error(422, "", "the object's hash is not " + oid);
        }
        if (request.path().startsWith("/lfs/complete/")) {
            return complete(request.path().substring("/lfs/complete/".length()), oid, json.path("parts"));
        }
        return Answer.error(404, "", "no such path");
    }

    private Answer batch(JsonNode request) {
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode list = answer.putArray("objects");
        for (JsonNode object : request.path("objects")) {
            String oid = object.path("oid").asText();
            long size = object.path("size").asLong();
            ObjectNode entry = list.addObject().put("oid", oid).put("size", size);
            if (objects.containsKey(oid)) {
                continue;
            }
            ObjectNode actions = entry.putObject("actions");
            ObjectNode upload = actions.putObject("upload");
            String id = "u" + uploads.incrementAndGet();
            if (size > partBytes) {
                upload.put("href", endpoint() + "/lfs/complete/" + id);
                ObjectNode header = upload.putObject("header").put("chunk_size", String.valueOf(partBytes));
                for (int part = 1; part <= Math.ceilDiv(size, partBytes); part++) {
                    // Widths differ, as seen in the wild: order is by number.
                    String key = part % 2 == 0 ? String.format("%05d", part) : String.valueOf(part);
                    header.put(key, storeEndpoint() + "/store/part/" + id + "/" + part + "?signature=SIGNED");
                }
            } else {
                upload.put("href", storeEndpoint() + "/store/whole/" + oid + "?signature=SIGNED");
            }
            actions.putObject("verify").put("href", endpoint() + "/lfs/verify");
        }
        return Answer.json(answer);
    }

    private Answer complete(String id, String oid, JsonNode list) {
        Map<Integer, byte[]> found = parts.getOrDefault(id, Map.of());
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        for (JsonNode part : list) {
            byte[] content = found.get(part.path("partNumber").asInt());
            if (content == null || !part.path("etag").asText().equals(etag(content))) {
                return Answer.error(400, "", "part " + part.path("partNumber") + " is not what was uploaded");
            }
            whole.writeBytes(content);
        }
        if (list.size() != found.size()) {
            return Answer.error(400, "", "parts are missing");
        }
        objects.put(oid, whole.toByteArray());
        parts.remove(id);
        return Answer.json(JSON.createObjectNode());
    }

    private static String etag(byte[] content) {
        return "\"" + FakeRepository.hex("MD5", content) + "\"";
    }

    private Answer store(HttpExchange exchange, Seen request, Fault fault) throws IOException {
        String[] p = request.path().split("/");
        if (!request.authorization().equals("null")) {
            return Answer.error(400, "", "an object store wants no Authorization");
        }
        if (request.method().equals("GET")) {
            byte[] object = objects.get(p[3]);
            return object == null ? Answer.error(404, "", "no such key") : ranged(exchange, object, Map.of(), fault);
        }
        if (request.contentLength() < 0) {
            return Answer.error(411, "", "MissingContentLength");
        }
        byte[] content = read(exchange.getRequestBody());
        if (!discard && content.length != request.contentLength()) {
            throw new UncheckedIOException(new IOException("connection ended early"));
        }
        if (p[2].equals("whole")) {
            objects.put(p[3], content);
        } else {
            parts.computeIfAbsent(p[3], _ -> new ConcurrentSkipListMap<>()).put(Integer.parseInt(p[4]), content);
        }
        boolean noEtag = fault != null && fault.kind == Fault.Kind.NO_ETAG;
        return new Answer(200, new byte[0], noEtag ? Map.of() : Map.of("ETag", etag(content)));
    }

    private byte[] read(InputStream in) throws IOException {
        if (!discard) {
            return in.readAllBytes();
        }
        byte[] buffer = new byte[1 << 18];
        while (in.read(buffer) >= 0) {
            // Counted by its length alone.
        }
        return new byte[0];
    }

    private Answer resolve(HttpExchange exchange, String name, String revision, String path) {
        FakeRepository repo = repositories.get(name);
        Commit commit = repo == null ? null : repo.at(revision);
        Entry entry = commit == null ? null : commit.files().get(URLDecoder.decode(path, StandardCharsets.UTF_8));
        if (entry == null) {
            String code = repo == null ? "RepoNotFound" : commit == null ? "RevisionNotFound" : "EntryNotFound";
            return Answer.error(404, code, "not found");
        }
        if (entry.lfs()) {
            return new Answer(302, new byte[0], Map.of(
                    "X-Repo-Commit", commit.id(),
                    "X-Linked-Etag", "\"" + entry.lfsOid() + "\"",
                    "X-Linked-Size", String.valueOf(entry.size()),
                    "Location", storeEndpoint() + "/store/object-of/" + entry.lfsOid()));
        }
        String etag = "W/\"" + FakeRepository.gitBlob(entry.content()) + "\"";
        return ranged(exchange, entry.content(), Map.of("X-Repo-Commit", commit.id(), "ETag", etag), null);
    }

    private static Answer ranged(HttpExchange exchange, byte[] content, Map<String, String> headers, Fault fault) {
        String range = exchange.getRequestHeaders().getFirst("Range");
        if (range == null || fault != null && fault.kind == Fault.Kind.IGNORE_RANGE) {
            return new Answer(200, content, headers);
        }
        int from = Integer.parseInt(range.replaceAll("bytes=(\\d+)-", "$1"));
        Map<String, String> more = new TreeMap<>(headers);
        more.put("Content-Range", "bytes " + from + "-" + (content.length - 1) + "/" + content.length);
        return new Answer(206, Arrays.copyOfRange(content, from, content.length), more);
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
