package nibble.serve.http;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Locale;
import java.util.Optional;
import nibble.serve.api.ApiException;
import org.jspecify.annotations.Nullable;

/** Decides who may ask: the key of clients, and the origins of scripts in browsers. */
final class Access {
    private final ServerOptions options;
    private final byte @Nullable [] key;

    Access(ServerOptions options) {
        this.options = options;
        key = options.apiKey().map(Access::digest).orElse(null);
    }

    /**
     * Checks the key. All keys take the same time: their digests are compared, in constant time.
     *
     * @throws ApiException if it is missing or wrong
     */
    void requireKey(Exchange exchange) {
        if (key == null) {
            return;
        }
        String header = exchange.header("Authorization");
        String given = header != null && header.regionMatches(true, 0, "Bearer ", 0, 7)
                ? header.substring(7).strip()
                : "";
        if (!MessageDigest.isEqual(key, digest(given))) {
            throw ApiException.wrongKey(
                    header == null
                            ? "the API key is missing; send it as Authorization: Bearer KEY"
                            : "the API key is wrong");
        }
    }

    private static byte[] digest(String text) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    /**
     * Checks the name that the client called the server by. A server for this machine alone, without a key, answers to
     * no other: a web page whose name was made to point here would have the browser call it.
     *
     * @throws ApiException if it is another machine's
     */
    void requireOwnName(Exchange exchange) {
        String host = exchange.header("Host");
        if (host == null || key != null || !options.loopback()) {
            return;
        }
        String name = host.startsWith("[") ? host.replaceFirst("].*", "]") : host.replaceFirst(":.*", "");
        if (!ServerOptions.isLoopback(name.toLowerCase(Locale.ROOT))) {
            throw ApiException.of(403, "this server answers to localhost alone; give it a key to use other names");
        }
    }

    /**
     * Permits a script of another origin to read the answer, if its origin is an allowed one.
     *
     * @return whether it is, or no script of another origin asks
     */
    boolean allowOrigin(Exchange exchange) {
        String origin = exchange.header("Origin");
        if (origin == null) {
            return true;
        }
        exchange.answerHeader("Vary", "Origin");
        boolean all = options.origins().contains("*");
        if (all || options.origins().contains(origin)) {
            exchange.answerHeader("Access-Control-Allow-Origin", all ? "*" : origin);
            exchange.answerHeader("Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
            return true;
        }
        return isOwn(origin, Optional.ofNullable(exchange.header("Host")));
    }

    private static boolean isOwn(String origin, Optional<String> host) {
        try {
            URI uri = URI.create(origin);
            return host.isPresent() && host.get().equalsIgnoreCase(uri.getAuthority());
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** Answers a browser that asks whether it may send a request. */
    void preflight(Exchange exchange) {
        if (!allowOrigin(exchange)) {
            exchange.send(400, "text/plain; charset=utf-8", "Disallowed CORS origin".getBytes(StandardCharsets.UTF_8));
            return;
        }
        exchange.answerHeader("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
        exchange.answerHeader("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id");
        exchange.answerHeader("Access-Control-Max-Age", "600");
        exchange.send(200, "text/plain; charset=utf-8", "OK".getBytes(StandardCharsets.UTF_8));
    }
}
