package nibble.hub.client;

import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Sends requests: retries, waits for rate limits, follows redirects, and gives the token to the endpoint's host alone.
 * Owns its connections until closed. Safe for use from many threads.
 */
public final class HubHttp implements AutoCloseable {
    public static final ObjectMapper JSON = new ObjectMapper();

    private static final int MAX_REDIRECTS = 10;
    private static final long MAX_ANSWER_BYTES = 64L << 20;
    private static final String USER_AGENT =
            "nibble/0.1; java/" + Runtime.version().feature();

    /** Where the hub's own answers say things are, whatever mirror gives them. */
    private static final List<String> HUBS_OWN_ADDRESSES =
            List.of(HubSettings.DEFAULT_ENDPOINT, "https://hub-ci.huggingface.co");

    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);

    static {
        JSON.getFactory()
                .setStreamReadConstraints(
                        StreamReadConstraints.builder().maxNestingDepth(64).build());
    }

    private final HubSettings settings;
    private final Retries retries;
    private final TransferListener listener;
    private final HubMessages messages;
    private final HttpClient client;
    private volatile Optional<HubToken> token;
    /** Whether any answer has come yet: a hub that cannot even be reached at first is not tried again and again. */
    private volatile boolean reached;

    private boolean loginLooked;

    /**
     * Opens a client.
     *
     * @param listener told when the hub is waited for
     */
    public HubHttp(HubSettings settings, Retries retries, TransferListener listener) {
        this.settings = settings;
        this.retries = retries;
        this.listener = listener;
        this.token = settings.token();
        this.messages = new HubMessages(settings);
        // HTTP/1.1: object stores speak it best, and each transfer has its own connection.
        this.client = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(CONNECT_TIMEOUT)
                .proxy(settings.surroundings().proxies().selector())
                .build();
    }

    HubSettings settings() {
        return settings;
    }

    /** Returns the address of a path below the endpoint. */
    public URI uri(String path) {
        return URI.create(settings.endpoint() + path);
    }

    /**
     * An address that the hub gave, at the endpoint if it is the hub's own: a mirror hands on the hub's answers as they
     * are.
     */
    String here(String address) {
        String endpoint = settings.endpoint().toString();
        for (String own : HUBS_OWN_ADDRESSES) {
            boolean below = address.equals(own) || address.startsWith(own + "/") || address.startsWith(own + "?");
            if (below && !HUBS_OWN_ADDRESSES.contains(endpoint)) {
                return endpoint + address.substring(own.length());
            }
        }
        return address;
    }

    /** What messages may say. */
    HubMessages messages() {
        return messages;
    }

    TransferListener listener() {
        return listener;
    }

    /** Sends and reads a JSON answer; an empty one is a missing node. */
    JsonNode json(HubCall call) {
        HttpResponse<byte[]> response = send(call);
        if (response.body().length == 0) {
            return JSON.missingNode();
        }
        return messages.parse(call, response.body());
    }

    /** Sends and reads the whole answer, at most 64 MiB. */
    public HttpResponse<byte[]> send(HubCall call) {
        return send(call, BodyHandlers.limiting(BodyHandlers.ofByteArray(), MAX_ANSWER_BYTES), true);
    }

    /**
     * Sends until an answer below 400 comes, or tries run out.
     *
     * @param handler what to do with the body; for a failure's body too, unless it is not a byte array
     * @param followElsewhere whether to follow redirects to another host, without the token; else they are the answer
     * @throws HubException for what is not worth another try
     */
    public <T> HttpResponse<T> send(HubCall call, BodyHandler<T> handler, boolean followElsewhere) {
        if (settings.offline()) {
            throw messages.failure(
                    call, "not sent, HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; unset it to use the network");
        }
        renewLogin(call);
        for (int attempt = 1; ; attempt++) {
            boolean last = attempt >= retries.attempts() || !call.repeatable();
            try {
                HttpResponse<T> response = follow(call, handler, followElsewhere);
                reached = true;
                if (response.statusCode() < 400) {
                    return response;
                }
                HubException refused = messages.refused(call, response, token.isPresent());
                discard(response);
                if (last || !Retries.worthwhile(response.statusCode())) {
                    throw refused;
                }
                Duration asked =
                        Retries.asked(response.headers(), response.statusCode()).orElse(retries.backoff(attempt));
                if (asked.compareTo(Retries.LONGEST_ASKED) > 0) {
                    throw refused.told(refused.getMessage() + "; the hub asks to wait " + asked.toSeconds()
                            + " s, run again then");
                }
                pause(attempt, HubMessages.describe(call) + ": HTTP " + response.statusCode(), asked);
            } catch (IOException e) {
                // As the hub's own tools: without a network, a mistyped folder is not waited for.
                boolean unreachable =
                        !reached && (e instanceof ConnectException || e instanceof HttpConnectTimeoutException);
                if (last || unreachable) {
                    throw messages.noAnswer(call, attempt, e);
                }
                pause(
                        attempt,
                        HubMessages.describe(call) + ": no answer (" + HubMessages.reason(e) + ")",
                        retries.backoff(attempt));
            }
        }
    }

    /** Waits, after a failure that its sender knows, as long as doubling says. */
    public void pause(int attempt, String why) {
        pause(attempt, why, retries.backoff(attempt));
    }

    private void pause(int attempt, String why, Duration pause) {
        listener.note(messages.masked(why + "; next try in " + pause.toSeconds() + " s (" + (attempt + 1) + " of "
                + retries.attempts() + ")"));
        retries.sleep(pause);
    }

    /** Before the first request: a login that expires is exchanged. A failure is said, and the old token tried. */
    private void renewLogin(HubCall call) {
        Optional<HubLogin> login = settings.surroundings().login();
        Optional<HubToken> old = settings.token();
        synchronized (this) {
            if (loginLooked || call.anonymous() || login.isEmpty() || old.isEmpty()) {
                return;
            }
            loginLooked = true;
            try {
                login.get().renewed(old.get(), this).ifPresent(renewed -> {
                    messages.hide(renewed);
                    token = Optional.of(renewed);
                });
            } catch (HubException e) {
                if (e.status() == HubException.NO_ANSWER) {
                    // The request itself says it.
                    return;
                }
                listener.note("the login to the hub could not be renewed (" + e.getMessage()
                        + "); log in again with 'hf auth login'");
            }
        }
    }

    private <T> HttpResponse<T> follow(HubCall call, BodyHandler<T> handler, boolean followElsewhere)
            throws IOException {
        HubCall current = call;
        for (int redirects = 0; ; redirects++) {
            HttpResponse<T> response = exchange(current, handler);
            Optional<String> location = response.headers().firstValue("location");
            if (!isRedirect(response.statusCode()) || location.isEmpty()) {
                return response;
            }
            URI next = target(current, location.get());
            boolean stays = sameOrigin(next, current.uri()) || atHub(next) && atHub(current.uri());
            if (!stays && !followElsewhere) {
                return response;
            }
            discard(response);
            if (redirects == MAX_REDIRECTS) {
                throw messages.failure(call, "more than " + MAX_REDIRECTS + " redirects; the hub is misconfigured");
            }
            if (!call.method().equals("GET") && !stays) {
                throw messages.failure(
                        call,
                        "redirected to another host, " + HubMessages.shown(next)
                                + "; Nibble does not send the files there. Check HF_ENDPOINT");
            }
            current = current.at(next);
        }
    }

    private URI target(HubCall call, String location) {
        URI next;
        try {
            next = call.uri().resolve(location);
        } catch (IllegalArgumentException e) {
            // Its text is the address, which may hold a secret.
            throw messages.failure(call, "redirected to a malformed address");
        }
        boolean downgraded = "https".equals(call.uri().getScheme()) && !"https".equals(next.getScheme());
        if (next.getHost() == null
                || downgraded
                || !("http".equals(next.getScheme()) || "https".equals(next.getScheme()))) {
            throw messages.failure(
                    call,
                    "redirected to " + HubMessages.shown(next) + (downgraded ? ", which is not encrypted" : "")
                            + "; not followed");
        }
        return next;
    }

    private <T> HttpResponse<T> exchange(HubCall call, BodyHandler<T> handler) throws IOException {
        HttpRequest.Builder request = HttpRequest.newBuilder(call.uri()).timeout(call.answerTimeout());
        switch (call.method()) {
            // Without a Content-Length, which some servers do not expect of them.
            case "GET" -> request.GET();
            default -> request.method(call.method(), call.body().get());
        }
        request.header("User-Agent", USER_AGENT);
        call.headers().forEach(request::setHeader);
        Optional<HubToken> known = token;
        if (known.isPresent() && !call.anonymous() && atHub(call.uri())) {
            request.setHeader("Authorization", known.get().header());
        }
        settings.surroundings()
                .proxies()
                .authorization(call.uri())
                .ifPresent(p -> request.setHeader("Proxy-Authorization", p));
        try {
            return client.send(request.build(), handler);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw messages.failure(call, "interrupted");
        }
    }

    private static boolean isRedirect(int status) {
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    }

    /** Whether an address is the endpoint's, or the endpoint's own encrypted one: what may know the token. */
    boolean atHub(URI uri) {
        URI endpoint = settings.endpoint();
        boolean upgraded = "https".equals(uri.getScheme())
                && port(uri) == 443
                && "http".equals(endpoint.getScheme())
                && port(endpoint) == 80
                && uri.getHost().equalsIgnoreCase(endpoint.getHost());
        return upgraded || sameOrigin(uri, endpoint);
    }

    static boolean sameOrigin(URI a, URI b) {
        return String.valueOf(a.getScheme()).equalsIgnoreCase(b.getScheme())
                && String.valueOf(a.getHost())
                        .toLowerCase(Locale.ROOT)
                        .equals(String.valueOf(b.getHost()).toLowerCase(Locale.ROOT))
                && port(a) == port(b);
    }

    private static int port(URI uri) {
        return uri.getPort() >= 0 ? uri.getPort() : "https".equals(uri.getScheme()) ? 443 : 80;
    }

    private static void discard(HttpResponse<?> response) throws IOException {
        if (response.body() instanceof InputStream stream) {
            stream.close();
        }
    }

    @Override
    public void close() {
        client.shutdownNow();
        client.close();
    }
}
