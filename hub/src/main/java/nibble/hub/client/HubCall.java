package nibble.hub.client;

import java.net.URI;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Holds one request, to be sent as often as needed.
 *
 * @param body makes the body anew for each try
 * @param repeatable whether sending it twice does no more than sending it once
 * @param answerTimeout most time until the answer's first byte, the sending of the body included
 * @param anonymous whether the token is left out although the hub's own host is asked: the address or the body is the
 *     permission
 */
public record HubCall(
        String method,
        URI uri,
        Map<String, String> headers,
        Supplier<BodyPublisher> body,
        boolean repeatable,
        Duration answerTimeout,
        boolean anonymous) {

    private static final Duration SHORT = Duration.ofSeconds(120);

    public HubCall {
        headers = Map.copyOf(headers);
    }

    public static HubCall get(URI uri) {
        return new HubCall("GET", uri, Map.of(), BodyPublishers::noBody, true, SHORT, false);
    }

    static HubCall post(URI uri, String contentType, String content) {
        byte[] bytes = content.getBytes(StandardCharsets.UTF_8);
        return new HubCall(
                "POST",
                uri,
                Map.of("Content-Type", contentType),
                () -> BodyPublishers.ofByteArray(bytes),
                true,
                SHORT,
                false);
    }

    /** A body of {@code length} bytes sent with that Content-Length; object stores refuse chunked bodies. */
    static HubCall put(URI uri, Map<String, String> headers, long length, Supplier<BodyPublisher> body) {
        // As slow as 50 kB/s is slow, not stuck.
        return new HubCall("PUT", uri, headers, body, true, SHORT.plusSeconds(length / 50_000), false);
    }

    public HubCall with(String header, String value) {
        Map<String, String> more = new LinkedHashMap<>(headers);
        more.put(header, value);
        return new HubCall(method, uri, more, body, repeatable, answerTimeout, anonymous);
    }

    HubCall at(URI elsewhere) {
        return new HubCall(method, elsewhere, headers, body, repeatable, answerTimeout, anonymous);
    }

    HubCall once() {
        return new HubCall(method, uri, headers, body, false, Duration.ofMinutes(10), anonymous);
    }

    HubCall withoutToken() {
        return new HubCall(method, uri, headers, body, repeatable, answerTimeout, true);
    }
}
