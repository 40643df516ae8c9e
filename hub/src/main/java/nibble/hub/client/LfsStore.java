package nibble.hub.client;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/**
 * Sends large files by the Git LFS protocol: the hub says what it lacks and where to put it; an object store takes it
 * in one piece or in numbered parts; the hub is told the parts' ETags and checks the whole.
 */
public final class LfsStore {
    private static final String LFS_JSON = "application/vnd.git-lfs+json";

    /** Headers that an HTTP client sets itself. */
    private static final List<String> OWN_HEADERS =
            List.of("connection", "content-length", "expect", "host", "transfer-encoding", "upgrade");

    /** Addresses expire; the hub gives new ones this often before it is a failure. */
    private static final int ADDRESS_TRIES = 3;

    private final HubHttp http;
    private final RepoName repo;
    private final Optional<String> branch;
    private final TransferSlots slots;

    /**
     * Where an object goes.
     *
     * @param parts addresses of its parts in order; empty for one piece at {@code href}
     * @param partBytes length of every part but the last
     */
    private record Action(
            URI href, Map<String, String> headers, List<URI> parts, long partBytes, Optional<JsonNode> verify) {}

    /**
     * Opens the store of a repository.
     *
     * @param branch what it is for; empty for a pull request, which may be one of somebody who may not write to any
     *     branch
     */
    public LfsStore(HubHttp http, RepoName repo, Optional<String> branch, TransferSlots slots) {
        this.http = http;
        this.repo = repo;
        this.branch = branch;
        this.slots = slots;
    }

    /**
     * Makes the hub hold a file's content.
     *
     * @param progress told the bytes sent; negative for those of a try that failed
     * @return whether anything had to be sent
     */
    public boolean store(LocalFile file, LongConsumer progress) {
        for (int attempt = 1; ; attempt++) {
            Optional<Action> action = batch(file);
            if (action.isEmpty()) {
                return false;
            }
            file.requireUnchanged();
            AtomicLong sent = new AtomicLong();
            LongConsumer counted = bytes -> {
                sent.addAndGet(bytes);
                progress.accept(bytes);
            };
            try {
                send(file, action.get(), counted);
            } catch (HubException e) {
                // An object store's way to say that the address has expired; parts sent to it are lost.
                boolean expired = e.status() == 403 || e.status() == 401 || e.status() == 400 || e.status() == 404;
                if (!expired || attempt == ADDRESS_TRIES) {
                    throw e;
                }
                progress.accept(-sent.get());
                continue;
            }
            action.get().verify().ifPresent(verify -> verify(file, verify));
            return true;
        }
    }

    private Optional<Action> batch(LocalFile file) {
        ObjectNode body =
                HubHttp.JSON.createObjectNode().put("operation", "upload").put("hash_algo", "sha256");
        body.putArray("transfers").add("basic").add("multipart");
        body.putArray("objects").addObject().put("oid", file.sha256()).put("size", file.bytes());
        branch.ifPresent(name -> body.putObject("ref").put("name", name));
        String path = "/" + repo + ".git/info/lfs/objects/batch";
        JsonNode answer = http.json(
                HubCall.post(http.uri(path), LFS_JSON, body.toString()).with("Accept", LFS_JSON));
        JsonNode object = answer.path("objects").path(0);
        if (!object.path("oid").asText("").equals(file.sha256())) {
            throw new HubException(
                    path + ": the answer is not about " + file.path() + " (" + file.sha256() + "); run again later");
        }
        JsonNode error = object.path("error");
        if (!error.isMissingNode()) {
            throw new HubException(path + ": " + file.path() + " is refused: "
                    + error.path("message").asText("") + " (code "
                    + error.path("code").asText("none") + ")");
        }
        JsonNode upload = object.path("actions").path("upload");
        if (upload.isMissingNode()) {
            return Optional.empty();
        }
        JsonNode verify = object.path("actions").path("verify");
        return Optional.of(action(file, upload, verify.isMissingNode() ? Optional.empty() : Optional.of(verify)));
    }

    private Action action(LocalFile file, JsonNode upload, Optional<JsonNode> verify) {
        URI href = address(upload.path("href").asText(""), file);
        JsonNode header = upload.path("header");
        Map<String, String> headers = new HashMap<>();
        SortedMap<Integer, URI> parts = new TreeMap<>();
        for (Map.Entry<String, JsonNode> entry : header.properties()) {
            String key = entry.getKey();
            if (key.matches("\\d{1,9}")) {
                parts.put(Integer.parseInt(key), address(entry.getValue().asText(""), file));
            } else if (!key.equals("chunk_size") && !OWN_HEADERS.contains(key.toLowerCase(Locale.ROOT))) {
                headers.put(key, entry.getValue().asText(""));
            }
        }
        if (!header.has("chunk_size")) {
            return new Action(href, headers, List.of(), file.bytes(), verify);
        }
        long partBytes = header.path("chunk_size").asLong(0);
        long expected = partBytes > 0 ? Math.ceilDiv(file.bytes(), partBytes) : -1;
        if (parts.size() != expected) {
            throw new HubException(file.path() + ": the hub gives " + parts.size() + " part addresses of " + partBytes
                    + " bytes for a file of " + file.bytes() + " bytes, expected " + expected + "; run again later");
        }
        return new Action(href, headers, List.copyOf(parts.values()), partBytes, verify);
    }

    private URI address(String text, LocalFile file) {
        try {
            URI uri = URI.create(http.here(text));
            if (uri.getHost() != null && ("https".equals(uri.getScheme()) || "http".equals(uri.getScheme()))) {
                return uri;
            }
        } catch (IllegalArgumentException e) {
            // Said below; the text may hold a signature, so it is not shown.
        }
        throw new HubException(file.path() + ": the hub gives no usable upload address; run again later");
    }

    private void send(LocalFile file, Action action, LongConsumer progress) {
        if (action.parts().isEmpty()) {
            slots.run(List.of(() -> put(file, action.href(), action.headers(), 0, file.bytes(), progress)));
            return;
        }
        List<Callable<String>> tasks = new ArrayList<>();
        for (int i = 0; i < action.parts().size(); i++) {
            URI part = action.parts().get(i);
            int number = i + 1;
            long offset = i * action.partBytes();
            long length = Math.min(action.partBytes(), file.bytes() - offset);
            tasks.add(() -> {
                String etag = put(file, part, Map.of(), offset, length, progress);
                if (etag.isEmpty()) {
                    throw new HubException(
                            file.path() + ": part " + number + " was taken without an ETag, which the hub needs to"
                                    + " join the parts; run again later");
                }
                return etag;
            });
        }
        List<String> etags = slots.run(tasks);
        ObjectNode body = HubHttp.JSON.createObjectNode().put("oid", file.sha256());
        ArrayNode parts = body.putArray("parts");
        for (int i = 0; i < etags.size(); i++) {
            parts.addObject().put("partNumber", i + 1).put("etag", etags.get(i));
        }
        // The address is signed; the hub's own tools send no token with it either.
        http.send(HubCall.post(action.href(), LFS_JSON, body.toString())
                .with("Accept", LFS_JSON)
                .withoutToken());
    }

    /** Sends a slice and returns its ETag as given; empty if none. */
    private String put(
            LocalFile file, URI uri, Map<String, String> headers, long offset, long length, LongConsumer progress) {
        AtomicLong ofThisTry = new AtomicLong();
        HubCall call = HubCall.put(uri, headers, length, () -> {
            progress.accept(-ofThisTry.getAndSet(0));
            return new FileSlice(file.file(), offset, length).body(bytes -> {
                ofThisTry.addAndGet(bytes);
                progress.accept(bytes);
            });
        });
        HttpResponse<byte[]> response = http.send(call);
        return response.headers().firstValue("etag").orElse("");
    }

    private void verify(LocalFile file, JsonNode verify) {
        ObjectNode body =
                HubHttp.JSON.createObjectNode().put("oid", file.sha256()).put("size", file.bytes());
        URI uri = address(verify.path("href").asText(""), file);
        boolean ours = http.atHub(uri);
        HubCall call = HubCall.post(uri, LFS_JSON, body.toString()).with("Accept", LFS_JSON);
        if (!ours) {
            // The token is not for this host; what the hub gave for it is.
            for (Map.Entry<String, JsonNode> entry : verify.path("header").properties()) {
                if (!OWN_HEADERS.contains(entry.getKey().toLowerCase(Locale.ROOT))) {
                    call = call.with(entry.getKey(), entry.getValue().asText(""));
                }
            }
        }
        try {
            http.send(call);
        } catch (HubException e) {
            if (!ours && (e.status() == 401 || e.status() == 403)) {
                // It does not know us; the commit fails if the object is not there.
                return;
            }
            throw e.told(file.path() + ": the hub does not confirm the upload: " + e.getMessage() + "; run again");
        }
    }
}
