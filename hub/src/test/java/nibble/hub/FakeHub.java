package nibble.hub;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import nibble.hub.FakeRepository.Commit;
import nibble.hub.FakeRepository.Entry;

/**
 * A model hub in this process, as strict as the real one about lengths, hashes, tokens, rights and parents, with faults
 * to order; the hub's own Python client works with it (see {@link RealClientTest}). The endpoint is at 127.0.0.1 and
 * the object store at localhost: two hosts to a client. As a proxy's target it takes requests for other hosts as well.
 */
public final class FakeHub implements AutoCloseable {
    /** The token that may do everything to repositories of {@code me} and {@code org}. */
    public static final String TOKEN = "hf_secretSECRETsecret";

    /** The same account's, for reading alone. */
    static final String READ_TOKEN = "hf_readREADread";

    /** Somebody else's, who may write to own repositories. */
    static final String OTHER_TOKEN = "hf_otherOTHERother";

    static final ObjectMapper JSON = new ObjectMapper();

    static {
        // Else each small answer waits 40 ms for the client's delayed acknowledgement.
        System.setProperty("sun.net.httpserver.nodelay", "true");
    }

    /** A request as it came in; of header fields that were not sent, "null". */
    public record Seen(
            String method,
            String host,
            String path,
            String query,
            String authorization,
            long contentLength,
            String proxyAuthorization,
            String body) {}

    /** An account. */
    public record User(String name, List<String> organizations, boolean writes) {
        boolean owns(String repo) {
            String owner = repo.replaceAll("/.*", "");
            return owner.equals(name) || organizations.contains(owner);
        }
    }

    /** What goes back. */
    record Answer(int status, byte[] body, Map<String, String> headers) {
        static Answer json(JsonNode json) {
            return new Answer(
                    200,
                    json.toString().getBytes(StandardCharsets.UTF_8),
                    Map.of("Content-Type", "application/json; charset=utf-8"));
        }

        Answer with(String header, String value) {
            Map<String, String> more = new TreeMap<>(headers);
            more.put(header, value);
            return new Answer(status, body, more);
        }
    }

    /** A request that is not granted. */
    static final class Refusal extends RuntimeException {
        private static final long serialVersionUID = 1L;
        final int status;
        final String code;

        Refusal(int status, String code, String message) {
            super(message);
            this.status = status;
            this.code = code;
        }
    }

    final Map<String, FakeRepository> repositories = new ConcurrentHashMap<>();
    final Map<String, byte[]> objects = new ConcurrentHashMap<>();
    final List<Seen> seen = new CopyOnWriteArrayList<>();
    public final List<Fault> faults = new CopyOnWriteArrayList<>();
    /** Requests that get no answer as long as this hub lives. */
    volatile Predicate<Seen> held = _ -> false;

    public final Map<String, User> users = new ConcurrentHashMap<>();
    /** Refresh tokens and the access token that each is good for, once. */
    public final Map<String, String> refreshTokens = new ConcurrentHashMap<>();
    /** Repositories of which only these accounts get files. */
    final Map<String, List<String>> gated = new ConcurrentHashMap<>();
    /** Old names of repositories and their new ones. */
    final Map<String, String> renamed = new ConcurrentHashMap<>();
    /** So many of the next signed addresses have expired when they are used. */
    final AtomicInteger expiringAddresses = new AtomicInteger();
    /** Objects of more bytes go in parts of this size. */
    long partBytes = Long.MAX_VALUE;
    /** Entries of a page of a listing. */
    int pageSize = 2;
    /** Most bytes of one answer with a file's content. */
    int mostBytes = Integer.MAX_VALUE;
    /** Takes object content and keeps none, for files that do not fit this process. */
    boolean discard;
    /** What the hub calls itself in addresses that it gives; a mirror hands on those of the hub. */
    String ownAddress = "";

    private final HttpServer server;
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final FakeHubApi api = new FakeHubApi(this);
    private final FakeHubFiles files = new FakeHubFiles(this);

    public FakeHub() throws IOException {
        this(0);
    }

    FakeHub(int port) throws IOException {
        users.put(TOKEN, new User("me", List.of("org"), true));
        users.put(READ_TOKEN, new User("me", List.of("org"), false));
        users.put(OTHER_TOKEN, new User("stranger", List.of(), true));
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
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

    /** The base of addresses of the hub's that it gives. */
    String ownAddress() {
        return ownAddress.isEmpty() ? endpoint() : ownAddress;
    }

    public List<Seen> seen() {
        return seen;
    }

    /** Names of the repositories that there are. */
    public java.util.Set<String> repositories() {
        return repositories.keySet();
    }

    /** The content of a file of a branch; null if it has none or its object is missing. */
    public byte[] content(String repo, String branch, String path) {
        Commit commit = repositories.get(repo).at(branch);
        Entry entry = commit == null ? null : commit.files().get(path);
        return entry == null ? null : entry.lfs() ? objects.get(entry.lfsOid()) : entry.content();
    }

    /** Puts files into a new repository's main branch as a hub would hold them. */
    public void put(String repo, Map<String, byte[]> content) {
        FakeRepository repository = repositories.computeIfAbsent(repo, _ -> new FakeRepository(false));
        Map<String, Entry> entries = new TreeMap<>(repository.at("main").files());
        content.forEach((path, bytes) -> {
            boolean lfs = FakeHubApi.isLfs(path, bytes) && bytes.length > 0;
            String oid = lfs ? FakeRepository.hex("SHA-256", bytes) : "";
            if (lfs) {
                objects.put(oid, bytes);
            }
            entries.put(path, new Entry(lfs ? new byte[0] : bytes, oid, bytes.length));
        });
        Commit commit = repository.add(repository.branches.get("main"), "put", entries);
        repository.branches.put("main", commit.id());
    }

    private void handle(HttpExchange exchange) throws IOException {
        URI uri = exchange.getRequestURI();
        Headers headers = exchange.getRequestHeaders();
        String length = headers.getFirst("Content-Length");
        boolean store = uri.getRawPath().startsWith("/store/");
        // Object content is read where it is kept.
        byte[] body = new byte[0];
        Seen request = new Seen(
                exchange.getRequestMethod(),
                String.valueOf(headers.getFirst("Host")).replaceAll(":.*", ""),
                uri.getRawPath(),
                String.valueOf(uri.getRawQuery()),
                String.valueOf(headers.getFirst("Authorization")),
                length == null ? -1 : Long.parseLong(length),
                String.valueOf(headers.getFirst("Proxy-Authorization")),
                "");
        Fault fault = faults.stream()
                .filter(f -> f.when.test(request) && f.left.getAndDecrement() > 0)
                .findFirst()
                .orElse(null);
        try (exchange) {
            if (held.test(request)) {
                new CountDownLatch(1).await();
            }
            if (fault != null && fault.kind == Fault.Kind.CUT_REQUEST) {
                seen.add(request);
                exchange.getRequestBody().readNBytes((int) fault.at);
                return;
            }
            if (!store || fault != null && fault.kind == Fault.Kind.STATUS) {
                body = exchange.getRequestBody().readAllBytes();
            }
            seen.add(new Seen(
                    request.method(),
                    request.host(),
                    request.path(),
                    request.query(),
                    request.authorization(),
                    request.contentLength(),
                    request.proxyAuthorization(),
                    new String(body, StandardCharsets.UTF_8)));
            if (fault != null && fault.kind == Fault.Kind.STATUS) {
                Answer refused = error(new Refusal(fault.status, "", "ordered fault"));
                String ordered = fault.headers.get("X-Body");
                if (ordered != null) {
                    refused = new Answer(fault.status, ordered.getBytes(StandardCharsets.UTF_8), Map.of());
                    respond(exchange, refused, null);
                    return;
                }
                for (Map.Entry<String, String> header : fault.headers.entrySet()) {
                    refused = refused.with(header.getKey(), header.getValue());
                }
                respond(exchange, store ? refused : limited(refused), null);
                return;
            }
            Answer answer = answer(exchange, request, body, fault);
            if (fault == null || fault.kind != Fault.Kind.LOSE_ANSWER) {
                respond(exchange, store ? answer : limited(answer), fault);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException e) {
            e.printStackTrace();
            throw e;
        }
    }

    private Answer answer(HttpExchange exchange, Seen request, byte[] body, Fault fault) throws IOException {
        try {
            if (request.path().startsWith("/store/")) {
                return files.store(exchange, request, fault);
            }
            if (exchange.getRequestHeaders().getFirst("User-Agent") == null) {
                throw new Refusal(400, "", "no User-Agent");
            }
            synchronized (this) {
                String moved = moved(request);
                if (moved != null) {
                    return new Answer(307, new byte[0], Map.of("Location", moved));
                }
                return request.path().startsWith("/api/") && !request.path().startsWith("/api/resolve-cache/")
                                || request.path().equals("/oauth/token")
                        ? api.answer(exchange, request, body, fault)
                        : files.answer(exchange, request, body, fault);
            }
        } catch (Refusal refusal) {
            return error(refusal);
        }
    }

    private String moved(Seen request) {
        for (Map.Entry<String, String> name : renamed.entrySet()) {
            if (request.path().contains("/" + name.getKey() + "/")
                    || request.path().endsWith("/" + name.getKey())
                    || request.path().contains("/" + name.getKey() + ".git/")) {
                String path = request.path().replace("/" + name.getKey(), "/" + name.getValue());
                return path + (request.query().equals("null") ? "" : "?" + request.query());
            }
        }
        return null;
    }

    private static Answer error(Refusal refusal) {
        byte[] body = JSON.createObjectNode()
                .put("error", refusal.getMessage())
                .toString()
                .getBytes(StandardCharsets.UTF_8);
        Answer answer = new Answer(
                        refusal.status, body, Map.of("X-Request-Id", "req-7", "Content-Type", "application/json"))
                .with("X-Error-Message", refusal.getMessage());
        return refusal.code.isEmpty() ? answer : answer.with("X-Error-Code", refusal.code);
    }

    /** The hub says with every answer how many requests are left. */
    private static Answer limited(Answer answer) {
        boolean said = answer.headers().keySet().stream().anyMatch(name -> name.equalsIgnoreCase("ratelimit"));
        return (said ? answer : answer.with("RateLimit", "\"api\";r=432;t=180"))
                .with("RateLimit-Policy", "\"fixed window\";\"api\";q=500;w=300");
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
            if (fault != null && fault.kind == Fault.Kind.FLIP_BYTE && body.length > 0) {
                body = body.clone();
                body[body.length / 2] ^= 1;
            }
            out.write(body);
        }
    }

    /** The account of a request; null without one. */
    User user(Seen request) {
        if (request.authorization().equals("null")) {
            return null;
        }
        User user = request.authorization().startsWith("Bearer ")
                ? users.get(request.authorization().substring(7))
                : null;
        if (user == null) {
            throw new Refusal(401, "", "Invalid credentials in Authorization header");
        }
        return user;
    }

    User required(Seen request) {
        User user = user(request);
        if (user == null) {
            throw new Refusal(401, "", "Invalid username or password.");
        }
        return user;
    }

    /** A repository that the request's account may see. */
    FakeRepository visible(Seen request, String name) {
        User user = user(request);
        FakeRepository repo = repositories.get(name);
        if (repo == null || repo.isPrivate && (user == null || !user.owns(name))) {
            throw user == null
                    ? new Refusal(401, "RepoNotFound", "Invalid username or password.")
                    : new Refusal(404, "RepoNotFound", "Repository not found");
        }
        return repo;
    }

    static Map<String, String> query(Seen request) {
        Map<String, String> found = new HashMap<>();
        if (!request.query().equals("null")) {
            for (String pair : request.query().split("&")) {
                String[] parts = pair.split("=", 2);
                found.put(parts[0], URLDecoder.decode(parts.length > 1 ? parts[1] : "", StandardCharsets.UTF_8));
            }
        }
        return found;
    }

    static void require(boolean right, int status, String message) {
        if (!right) {
            throw new Refusal(status, "", message);
        }
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
