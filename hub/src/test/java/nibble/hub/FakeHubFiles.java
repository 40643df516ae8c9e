package nibble.hub;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicInteger;
import nibble.hub.FakeHub.Answer;
import nibble.hub.FakeHub.Refusal;
import nibble.hub.FakeHub.Seen;
import nibble.hub.FakeHub.User;
import nibble.hub.FakeRepository.Commit;
import nibble.hub.FakeRepository.Entry;

/** The fake hub's files: below repositories' own names, LFS, and the object store. */
final class FakeHubFiles {
    private static final String LFS_JSON = "application/vnd.git-lfs+json";

    private final FakeHub hub;
    private final Map<String, Map<Integer, byte[]>> parts = new ConcurrentHashMap<>();
    private final AtomicInteger uploads = new AtomicInteger();

    FakeHubFiles(FakeHub hub) {
        this.hub = hub;
    }

    Answer answer(HttpExchange exchange, Seen request, byte[] body, Fault fault) throws IOException {
        String path = request.path();
        String[] p = path.split("/", 6);
        if (path.endsWith(".git/info/lfs/objects/batch")) {
            String name = path.substring(1, path.length() - ".git/info/lfs/objects/batch".length());
            return batch(exchange, request, name, body);
        }
        if (path.endsWith(".git/info/lfs/objects/verify")) {
            hub.required(request);
            JsonNode json = FakeHubApi.json(exchange, body, type(exchange));
            FakeHubApi.keys(json, List.of("oid", "size"));
            return verified(json);
        }
        if (path.startsWith("/lfs/complete/")) {
            // Signed: whoever has the address may.
            JsonNode json = FakeHubApi.json(exchange, body, LFS_JSON);
            FakeHubApi.keys(json, List.of("oid", "parts"));
            FakeHub.require(parts.containsKey(path.substring("/lfs/complete/".length())), 404, "NoSuchUpload");
            FakeHub.require(request.query().contains("signature=COMPLETE"), 403, "signature");
            return complete(
                    path.substring("/lfs/complete/".length()), json.path("oid").asText(), json.path("parts"));
        }
        if (path.startsWith("/api/resolve-cache/models/")) {
            String[] c = path.split("/", 8);
            FakeRepository repo = hub.visible(request, c[4] + "/" + c[5]);
            Entry entry = repo.commits.get(c[6]).files().get(URLDecoder.decode(c[7], StandardCharsets.UTF_8));
            String etag = "\"" + FakeRepository.gitBlob(entry.content()) + "\"";
            return ranged(exchange, entry.content(), Map.of("X-Repo-Commit", c[6], "ETag", etag), fault);
        }
        if (p.length == 6 && p[3].equals("resolve")) {
            return resolve(request, p[1] + "/" + p[2], URLDecoder.decode(p[4], StandardCharsets.UTF_8), p[5]);
        }
        throw new Refusal(404, "", "Sorry, we can't find the page you are looking for.");
    }

    private static String type(HttpExchange exchange) {
        return String.valueOf(exchange.getRequestHeaders().getFirst("Content-Type"))
                .replaceAll(";.*", "");
    }

    private Answer batch(HttpExchange exchange, Seen request, String name, byte[] content) throws IOException {
        hub.visible(request, name);
        User user = hub.required(request);
        FakeHub.require(
                String.valueOf(exchange.getRequestHeaders().getFirst("Accept")).contains(LFS_JSON), 406, "Accept");
        JsonNode body = FakeHubApi.json(exchange, content, LFS_JSON);
        FakeHubApi.keys(body, List.of("operation", "objects"), "transfers", "ref", "hash_algo");
        FakeHub.require(user.writes(), 403, "Authorization error: this token may only read.");
        FakeHub.require(
                user.owns(name)
                        || !body.has("ref")
                        || body.path("ref").path("name").asText().startsWith("refs/pr/"),
                403,
                "Authorization error.");
        FakeHub.require(body.path("operation").asText().equals("upload"), 400, "operation");
        FakeHub.require(body.path("hash_algo").asText("sha256").equals("sha256"), 409, "hash_algo");
        List<String> transfers = new ArrayList<>();
        body.path("transfers").forEach(transfer -> transfers.add(transfer.asText()));
        FakeHub.require(
                Set.of("basic", "multipart", "xet", "lfs-standalone-file").containsAll(transfers), 400, "transfers");
        if (body.has("ref")) {
            FakeHubApi.keys(body.get("ref"), List.of("name"));
        }
        int count = body.path("objects").size();
        FakeHub.require(count > 0 && count <= 1000, 413, "objects");
        ObjectNode answer = FakeHub.JSON.createObjectNode().put("transfer", "basic");
        ArrayNode list = answer.putArray("objects");
        for (JsonNode object : body.path("objects")) {
            FakeHubApi.keys(object, List.of("oid", "size"));
            String oid = object.path("oid").asText();
            FakeHub.require(object.path("size").isIntegralNumber(), 422, "object");
            long size = object.path("size").asLong(-1);
            FakeHub.require(oid.matches("[0-9a-f]{64}") && size >= 0, 422, "object");
            ObjectNode entry =
                    list.addObject().put("oid", oid).put("size", size).put("authenticated", true);
            if (hub.objects.containsKey(oid)) {
                continue;
            }
            ObjectNode actions = entry.putObject("actions");
            ObjectNode upload = actions.putObject("upload");
            String id = "u" + uploads.incrementAndGet();
            if (size > hub.partBytes && transfers.contains("multipart")) {
                parts.put(id, new ConcurrentSkipListMap<>());
                answer.put("transfer", "multipart");
                upload.put("href", hub.ownAddress() + "/lfs/complete/" + id + "?signature=COMPLETE");
                ObjectNode header = upload.putObject("header").put("chunk_size", String.valueOf(hub.partBytes));
                String signature = signature();
                for (int part = 1; part <= Math.ceilDiv(size, hub.partBytes); part++) {
                    // Widths differ, as seen in the wild: order is by number.
                    String key = part % 2 == 0 ? String.format("%05d", part) : String.valueOf(part);
                    header.put(key, hub.storeEndpoint() + "/store/part/" + id + "/" + part + signature);
                }
            } else {
                upload.put("href", hub.storeEndpoint() + "/store/whole/" + oid + signature());
            }
            actions.putObject("verify").put("href", hub.ownAddress() + "/" + name + ".git/info/lfs/objects/verify");
        }
        return Answer.json(answer);
    }

    /** What signs an address; it may have expired when it is used. */
    private String signature() {
        boolean expires = hub.expiringAddresses.getAndUpdate(left -> Math.max(0, left - 1)) > 0;
        return "?X-Amz-Expires=" + (expires ? 0 : 3600) + "&signature=SIGNED";
    }

    private Answer verified(JsonNode json) {
        String oid = json.path("oid").asText();
        byte[] object = hub.objects.get(oid);
        boolean right = object != null
                && (hub.discard
                        || object.length == json.path("size").asLong()
                                && FakeRepository.hex("SHA-256", object).equals(oid));
        FakeHub.require(right, 404, "Object does not exist");
        return Answer.json(FakeHub.JSON.createObjectNode());
    }

    private Answer complete(String id, String oid, JsonNode list) {
        Map<Integer, byte[]> found = parts.getOrDefault(id, Map.of());
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        int number = 0;
        for (JsonNode part : list) {
            FakeHubApi.keys(part, List.of("partNumber", "etag"));
            FakeHub.require(part.path("partNumber").asInt() == ++number, 400, "InvalidPart");
            byte[] content = found.get(part.path("partNumber").asInt());
            boolean right = content != null && part.path("etag").asText().equals(etag(content));
            FakeHub.require(right, 400, "part " + part.path("partNumber") + " is not what was uploaded");
            whole.writeBytes(content);
        }
        FakeHub.require(list.size() == found.size(), 400, "parts are missing");
        boolean right = hub.discard
                || FakeRepository.hex("SHA-256", whole.toByteArray()).equals(oid);
        FakeHub.require(right, 400, "sha256 mismatch");
        hub.objects.put(oid, whole.toByteArray());
        parts.remove(id);
        return Answer.json(FakeHub.JSON.createObjectNode());
    }

    private static String etag(byte[] content) {
        return "\"" + FakeRepository.hex("MD5", content) + "\"";
    }

    Answer store(HttpExchange exchange, Seen request, Fault fault) throws IOException {
        String[] p = request.path().split("/");
        FakeHub.require(request.authorization().equals("null"), 400, "Only one auth mechanism allowed");
        if (request.query().contains("X-Amz-Expires=0&")) {
            exchange.getRequestBody().readAllBytes();
            byte[] xml = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
                    .getBytes(StandardCharsets.UTF_8);
            return new Answer(403, xml, Map.of("Content-Type", "application/xml"));
        }
        if (Set.of("GET", "HEAD").contains(request.method())) {
            byte[] object = hub.objects.get(p[3]);
            FakeHub.require(object != null, 404, "no such key");
            return ranged(exchange, object, Map.of("ETag", "\"" + p[3] + "\""), fault);
        }
        boolean chunked =
                "chunked".equalsIgnoreCase(exchange.getRequestHeaders().getFirst("Transfer-Encoding"));
        FakeHub.require(!chunked, 501, "NotImplemented: Transfer-Encoding");
        FakeHub.require(request.contentLength() >= 0, 411, "MissingContentLength");
        FakeHub.require(
                request.contentLength() > 0,
                501,
                "A header you provided implies functionality that is not implemented");
        byte[] content = read(exchange.getRequestBody());
        if (!hub.discard && content.length != request.contentLength()) {
            throw new UncheckedIOException(new IOException("connection ended early"));
        }
        if (p[2].equals("whole")) {
            FakeHub.require(
                    hub.discard || FakeRepository.hex("SHA-256", content).equals(p[3]), 400, "BadDigest");
            hub.objects.put(p[3], content);
        } else {
            FakeHub.require(parts.containsKey(p[3]), 404, "NoSuchUpload");
            parts.get(p[3]).put(Integer.parseInt(p[4]), content);
        }
        boolean noEtag = fault != null && fault.kind == Fault.Kind.NO_ETAG;
        return new Answer(200, new byte[0], noEtag ? Map.of() : Map.of("ETag", etag(content)));
    }

    private byte[] read(InputStream in) throws IOException {
        if (!hub.discard) {
            return in.readAllBytes();
        }
        byte[] buffer = new byte[1 << 18];
        while (in.read(buffer) >= 0) {
            // Counted by its length alone.
        }
        return new byte[0];
    }

    private Answer resolve(Seen request, String name, String revision, String path) {
        FakeHub.require(Set.of("GET", "HEAD").contains(request.method()), 405, "method");
        FakeRepository repo = hub.visible(request, name);
        List<String> admitted = hub.gated.get(name);
        if (admitted != null) {
            User user = hub.user(request);
            if (user == null || !admitted.contains(user.name())) {
                throw new Refusal(
                        user == null ? 401 : 403,
                        "GatedRepo",
                        "Access to model " + name + " is restricted"
                                + (user == null
                                        ? ". You must be authenticated to access it."
                                        : " and you are not in the authorized list."));
            }
        }
        Commit commit = repo.at(revision);
        if (commit == null) {
            throw new Refusal(404, "RevisionNotFound", "Invalid rev id: " + revision);
        }
        Entry entry = commit.files().get(URLDecoder.decode(path, StandardCharsets.UTF_8));
        if (entry == null) {
            throw new Refusal(404, "EntryNotFound", "Entry not found");
        }
        Map<String, String> headers =
                new TreeMap<>(Map.of("X-Repo-Commit", commit.id(), "X-Linked-Size", String.valueOf(entry.size())));
        if (entry.lfs()) {
            headers.put("X-Linked-Etag", "\"" + entry.lfsOid() + "\"");
            headers.put("Location", hub.storeEndpoint() + "/store/object-of/" + entry.lfsOid() + signature());
            return new Answer(302, new byte[0], headers);
        }
        headers.put("X-Linked-Etag", "\"" + FakeRepository.gitBlob(entry.content()) + "\"");
        String plain = URLDecoder.decode(path, StandardCharsets.UTF_8);
        headers.put(
                "Location",
                "/api/resolve-cache/models/" + name + "/" + commit.id() + "/"
                        + URLEncoder.encode(plain, StandardCharsets.UTF_8));
        return new Answer(307, new byte[0], headers);
    }

    private Answer ranged(HttpExchange exchange, byte[] content, Map<String, String> headers, Fault fault) {
        String range = exchange.getRequestHeaders().getFirst("Range");
        if (range == null || fault != null && fault.kind == Fault.Kind.IGNORE_RANGE) {
            FakeHub.require(content.length <= hub.mostBytes, 403, "the answer is too large");
            return new Answer(200, content, headers);
        }
        String[] bounds = range.replace("bytes=", "").split("-", -1);
        int from = Integer.parseInt(bounds[0]);
        int end = bounds[1].isEmpty() ? content.length : Math.min(content.length, Integer.parseInt(bounds[1]) + 1);
        FakeHub.require(from < content.length, 416, "InvalidRange");
        FakeHub.require(end - from <= hub.mostBytes, 403, "the answer is too large");
        Map<String, String> more = new TreeMap<>(headers);
        more.put("Content-Range", "bytes " + from + "-" + (end - 1) + "/" + content.length);
        return new Answer(206, Arrays.copyOfRange(content, from, end), more);
    }
}
