package nibble.convert.hub;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import nibble.files.Reasons;

/**
 * Sends requests: retries, waits for rate limits, follows redirects, and gives the token to the endpoint's host alone. Owns
 * its connections until closed. Safe for use from many threads.
 */
final class HubHttp implements AutoCloseable {
    static final ObjectMapper JSON = new ObjectMapper();

    private static final int MAX_REDIRECTS = 5;
    private static final long MAX_ANSWER_BYTES = 64L << 20;
    private static final int SHOWN_CHARACTERS = 400;
    private static final String USER_AGENT = "nibble/0.1; java/" + Runtime.version().feature();

    static {
        JSON.getFactory()
                .setStreamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(64).build());
    }

    private final HubSettings settings;
    private final Retries retries;
    private final HttpClient client;

    HubHttp(HubSettings settings, Retries retries) {
        this.settings = settings;
        this.retries = retries;
        // HTTP/1.1: object stores speak it best, and each transfer has its own connection.
        this.client = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(Duration.ofSeconds(30))
                .build();
    }

    HubSettings settings() {
        return settings;
    }

    /** The address of a path below the endpoint. */
    URI uri(String path) {
        return URI.create(settings.endpoint() + path);
    }

    /** Sends and reads a JSON answer; an empty one is a missing node. */
    JsonNode json(HubCall call) {
        HttpResponse<byte[]> response = send(call);
        if (response.body().length == 0) {
            return JSON.missingNode();
        }
        try {
            return JSON.readTree(response.body());
        } catch (IOException e) {
            throw new HubException(
                    describe(call) + ": the answer is not JSON (" + Reasons.of(e) + "); is " + settings.endpoint() + " a model hub?");
        }
    }

    /** Sends and reads the whole answer, at most 64 MiB. */
    HttpResponse<byte[]> send(HubCall call) {
        return send(call, BodyHandlers.limiting(BodyHandlers.ofByteArray(), MAX_ANSWER_BYTES), true);
    }

    /**
     * Sends until an answer below 400 comes, or tries run out.
     *
     * @param handler what to do with the body; for a failure's body too, unless it is not a byte array
     * @param followElsewhere whether to follow redirects to another host, without the token; else they are the answer
     * @throws HubException for what is not worth another try
     */
    <T> HttpResponse<T> send(HubCall call, BodyHandler<T> handler, boolean followElsewhere) {
        if (settings.offline()) {
            throw new HubException(describe(call) + ": not sent, HF_HUB_OFFLINE is set; unset it to use the network");
        }
        for (int attempt = 1; ; attempt++) {
            boolean last = attempt >= retries.attempts() || !call.repeatable();
            try {
                HttpResponse<T> response = follow(call, handler, followElsewhere);
                if (response.statusCode() < 400) {
                    return response;
                }
                HubException refused = refused(call, response);
                discard(response);
                if (last || !Retries.worthwhile(response.statusCode())) {
                    throw refused;
                }
                retries.pause(attempt, response.headers(), response.statusCode());
            } catch (IOException e) {
                if (last) {
                    throw new HubException(
                            describe(call) + ": no answer (" + reason(e) + ")" + (attempt > 1 ? " in " + attempt + " tries" : "")
                                    + "; check the network and run again",
                            HubException.NO_ANSWER,
                            "",
                            e);
                }
                pause(attempt);
            }
        }
    }

    /** Waits before a request is tried again for a reason that its sender knows. */
    void pause(int attempt) {
        retries.pause(attempt, HttpHeaders.of(Map.of(), (_, _) -> true), 0);
    }

    private <T> HttpResponse<T> follow(HubCall call, BodyHandler<T> handler, boolean followElsewhere) throws IOException {
        HubCall current = call;
        for (int redirects = 0; ; redirects++) {
            HttpResponse<T> response = exchange(current, handler);
            Optional<String> location = response.headers().firstValue("location");
            if (!isRedirect(response.statusCode()) || location.isEmpty()) {
                return response;
            }
            URI next = target(current, location.get());
            if (!sameOrigin(next, current.uri()) && !followElsewhere) {
                return response;
            }
            discard(response);
            if (redirects == MAX_REDIRECTS) {
                throw new HubException(describe(call) + ": more than " + MAX_REDIRECTS + " redirects; the hub is misconfigured");
            }
            boolean reading = call.method().equals("GET") || call.method().equals("HEAD");
            if (!reading && !sameOrigin(next, current.uri())) {
                throw new HubException(describe(call) + ": redirected to another host, " + shown(next)
                        + "; what is being published is not sent there. Check HF_ENDPOINT");
            }
            current = current.at(next);
        }
    }

    private URI target(HubCall call, String location) {
        URI next;
        try {
            next = call.uri().resolve(location);
        } catch (IllegalArgumentException e) {
            throw new HubException(describe(call) + ": redirected to a malformed address", -1, "", e);
        }
        boolean downgraded = "https".equals(call.uri().getScheme()) && !"https".equals(next.getScheme());
        if (next.getHost() == null || downgraded || !("http".equals(next.getScheme()) || "https".equals(next.getScheme()))) {
            throw new HubException(describe(call) + ": redirected to " + shown(next)
                    + (downgraded ? ", which is not encrypted" : "") + "; not followed");
        }
        return next;
    }

    private <T> HttpResponse<T> exchange(HubCall call, BodyHandler<T> handler) throws IOException {
        HttpRequest.Builder request =
                HttpRequest.newBuilder(call.uri()).method(call.method(), call.body().get()).timeout(call.answerTimeout());
        request.header("User-Agent", USER_AGENT);
        call.headers().forEach(request::setHeader);
        if (settings.token().isPresent() && sameOrigin(call.uri(), settings.endpoint())) {
            request.setHeader("Authorization", settings.token().get().header());
        }
        try {
            return client.send(request.build(), handler);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HubException(describe(call) + ": interrupted", -1, "", e);
        }
    }

    private static boolean isRedirect(int status) {
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    }

    /** Scheme, host and port: what may know a secret. */
    static boolean sameOrigin(URI a, URI b) {
        return String.valueOf(a.getScheme()).equalsIgnoreCase(b.getScheme())
                && String.valueOf(a.getHost()).toLowerCase(Locale.ROOT).equals(String.valueOf(b.getHost()).toLowerCase(Locale.ROOT))
                && port(a) == port(b);
    }

    private static int port(URI uri) {
        return uri.getPort() >= 0 ? uri.getPort() : "https".equals(uri.getScheme()) ? 443 : 80;
    }

    private HubException refused(HubCall call, HttpResponse<?> response) {
        int status = response.statusCode();
        HttpHeaders headers = response.headers();
        String code = headers.firstValue("x-error-code").orElse("");
        StringBuilder message = new StringBuilder(describe(call)).append(": HTTP ").append(status);
        String text = headers.firstValue("x-error-message").orElseGet(() -> errorText(response.body()));
        if (!text.isEmpty()) {
            message.append(", \"").append(text.length() > SHOWN_CHARACTERS ? text.substring(0, SHOWN_CHARACTERS) + "…" : text).append('"');
        }
        if (!code.isEmpty()) {
            message.append(", code ").append(code);
        }
        headers.firstValue("x-request-id").ifPresent(id -> message.append(", request ").append(id));
        message.append(advice(status, code));
        String shown = settings.token().map(t -> t.removedFrom(message.toString())).orElse(message.toString());
        return new HubException(shown, status, code, null);
    }

    private String advice(int status, String code) {
        boolean known = settings.token().isPresent();
        return switch (status) {
            case 401 -> known
                    ? "; the hub does not take this token: make one with write access and put it into HF_TOKEN"
                    : "; the hub asks who you are: put a token into HF_TOKEN, or check the name";
            case 403 -> code.equals("GatedRepo")
                    ? "; ask for access on the repository's page"
                    : "; this token may not do that: make one with write access to this owner";
            case 404 -> "; check the names" + (known ? "" : ", or put a token into HF_TOKEN if it is private");
            case 429 -> "; too many requests, try later";
            default -> status >= 500 ? "; the hub has a problem, run again later" : "";
        };
    }

    private static String errorText(Object body) {
        byte[] bytes;
        try {
            bytes = body instanceof InputStream stream ? stream.readNBytes(4096) : (byte[]) body;
        } catch (IOException e) {
            return "";
        }
        String text = new String(bytes, 0, Math.min(bytes.length, 4096), StandardCharsets.UTF_8).strip();
        try {
            JsonNode json = JSON.readTree(text);
            String error = json.path("error").asText(json.path("message").asText(""));
            return error.isEmpty() ? text : error;
        } catch (JsonProcessingException e) {
            return text.startsWith("<") ? "" : text.replaceAll("\\s+", " ");
        }
    }

    private static void discard(HttpResponse<?> response) throws IOException {
        if (response.body() instanceof InputStream stream) {
            stream.close();
        }
    }

    private static String reason(IOException e) {
        return Reasons.of(e);
    }

    static String describe(HubCall call) {
        return call.method() + " " + shown(call.uri());
    }

    /** An address without its query, which may be a signature. */
    static String shown(URI uri) {
        String text = uri.toString();
        int query = text.indexOf('?');
        return query < 0 ? text : text.substring(0, query);
    }

    @Override
    public void close() {
        client.shutdownNow();
        client.close();
    }
}
