package nibble.serve.http;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Pattern;
import nibble.serve.api.ApiException;
import nibble.serve.api.RequestJson;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.Connection;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.io.EndPoint;
import org.eclipse.jetty.io.SocketChannelEndPoint;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.jspecify.annotations.Nullable;

/** One request and its answer; used by one thread. All calls may block. */
final class Exchange {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Pattern ID = Pattern.compile("[A-Za-z0-9._:-]{1,128}");
    private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

    /** A body beyond the limit is read up to here before it is refused: clients hear an answer only after sending. */
    private static final long MOST_DISCARDED = 64L << 20;

    /** Bytes of bodies that all requests hold while they are read. */
    private static final AtomicLong HELD = new AtomicLong();

    private static final long MOST_HELD = 256L << 20;

    private final Request request;
    private final Response response;
    private final ServerOptions options;
    private final String id;
    private long looked = System.nanoTime();
    private boolean pipelined;
    private boolean streaming;

    Exchange(Request request, Response response, ServerOptions options) {
        this.request = request;
        this.response = response;
        this.options = options;
        String given = request.getHeaders().get("X-Request-Id");
        id = given != null && ID.matcher(given).matches()
                ? given
                : UUID.randomUUID().toString().replace("-", "");
        response.getHeaders().put("X-Request-Id", id);
    }

    String method() {
        return request.getMethod();
    }

    String path() {
        return Request.getPathInContext(request);
    }

    /** Returns the client's id of the request, or a new one. */
    String id() {
        return id;
    }

    @Nullable
    String header(String name) {
        return request.getHeaders().get(name);
    }

    void answerHeader(String name, String value) {
        response.getHeaders().put(name, value);
    }

    /**
     * Reads the body, a JSON object.
     *
     * @throws ApiException if it is none, too large or too slow
     */
    ObjectNode json() {
        String type = header("Content-Type");
        if (type == null || !type.split(";")[0].strip().equalsIgnoreCase("application/json")) {
            discard();
            throw ApiException.invalid(null, "Unsupported Media Type: only application/json is allowed");
        }
        return RequestJson.parse(body());
    }

    private byte[] body() {
        if (request.getLength() > options.maxBodyBytes()) {
            discard();
            throw tooLarge();
        }
        long deadline = System.nanoTime() + options.bodyTimeout().toNanos();
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        byte[] piece = new byte[8192];
        long held = 0;
        try (InputStream in = Content.Source.asInputStream(request)) {
            for (int length = in.read(piece); length >= 0; length = in.read(piece)) {
                held += length;
                if (HELD.addAndGet(length) > MOST_HELD) {
                    throw ApiException.busy("the server reads too many large requests at once");
                }
                if (held > options.maxBodyBytes()) {
                    discard();
                    throw tooLarge();
                }
                body.write(piece, 0, length);
                if (System.nanoTime() > deadline) {
                    throw tooSlow();
                }
            }
        } catch (IOException e) {
            throw failedRead(e);
        } finally {
            HELD.addAndGet(-held);
        }
        return body.toByteArray();
    }

    private RuntimeException failedRead(Throwable e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof TimeoutException) {
                return tooSlow();
            }
        }
        return ApiException.invalid(null, "the body cannot be read to its end");
    }

    private ApiException tooLarge() {
        return ApiException.of(413, "the body is larger than " + options.maxBodyBytes() + " bytes");
    }

    private ApiException tooSlow() {
        answerHeader("Connection", "close");
        return ApiException.of(
                408, "the body did not come within " + options.bodyTimeout().toSeconds() + " s");
    }

    /** Reads what the client still sends, up to a bound and for a short time. */
    private void discard() {
        answerHeader("Connection", "close");
        long deadline = System.nanoTime() + Math.min(options.bodyTimeout().toNanos(), TimeUnit.SECONDS.toNanos(5));
        byte[] piece = new byte[1 << 16];
        long read = 0;
        try {
            InputStream in = Content.Source.asInputStream(request);
            for (int length = in.read(piece);
                    length >= 0 && read < MOST_DISCARDED && System.nanoTime() < deadline;
                    length = in.read(piece)) {
                read += length;
            }
        } catch (IOException e) {
            // The answer is the same.
        }
    }

    /** Sends an answer. */
    void send(int status, String type, byte[] body) {
        response.setStatus(status);
        response.getHeaders().put(HttpHeader.CONTENT_TYPE, type);
        response.getHeaders().put(HttpHeader.CONTENT_LENGTH, body.length);
        write(body, true);
    }

    void send(int status, JsonNode body) {
        send(status, "application/json", bytes(body));
    }

    void send(ApiException refusal) {
        refusal.retrySeconds().ifPresent(seconds -> answerHeader("Retry-After", Integer.toString(seconds)));
        if (refusal.status() == 401) {
            answerHeader("WWW-Authenticate", "Bearer");
        }
        if (refusal.status() == 503) {
            answerHeader("Connection", "close");
        }
        send(refusal.status(), refusal.body());
    }

    /** Sends an event of a stream; the first one sends the head of the answer. */
    void event(String data) {
        if (!streaming) {
            streaming = true;
            response.setStatus(200);
            response.getHeaders().put(HttpHeader.CONTENT_TYPE, "text/event-stream; charset=utf-8");
            response.getHeaders().put(HttpHeader.CACHE_CONTROL, "no-cache");
            // Proxies such as nginx hold answers back otherwise.
            response.getHeaders().put("X-Accel-Buffering", "no");
        }
        write(("data: " + data + "\n\n").getBytes(StandardCharsets.UTF_8), false);
    }

    void event(JsonNode data) {
        event(new String(bytes(data), StandardCharsets.UTF_8));
    }

    /** Ends a stream. */
    void endEvents() {
        event("[DONE]");
        write(new byte[0], true);
    }

    /** Returns whether the head of the answer has been sent. */
    boolean committed() {
        return response.isCommitted();
    }

    private void write(byte[] bytes, boolean last) {
        try {
            Content.Sink.write(response, last, ByteBuffer.wrap(bytes));
        } catch (IOException e) {
            throw new ClientGoneException(e);
        }
    }

    private static byte[] bytes(JsonNode body) {
        try {
            return JSON.writeValueAsBytes(body);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("an answer has no JSON form", e);
        }
    }

    /**
     * Looks whether the client has closed the connection, at most ten times a second. Jetty reads nothing while a
     * request is handled, so a byte that is read here is one of the client's next request, which Jetty gets back.
     *
     * @throws ClientGoneException if it has
     */
    void requireClient() {
        long now = System.nanoTime();
        if (pipelined || now - looked < LOOK_NANOS) {
            return;
        }
        looked = now;
        Connection connection = request.getConnectionMetaData().getConnection();
        EndPoint endPoint = connection.getEndPoint();
        if (!endPoint.isOpen()) {
            throw new ClientGoneException();
        }
        if (!(endPoint instanceof SocketChannelEndPoint socket
                && socket.getChannel() instanceof SocketChannel channel)) {
            return;
        }
        ByteBuffer next = ByteBuffer.allocate(1);
        int read;
        try {
            read = channel.read(next);
        } catch (IOException e) {
            throw new ClientGoneException(e);
        }
        if (read < 0) {
            throw new ClientGoneException();
        }
        if (read > 0) {
            pipelined = true;
            if (connection instanceof Connection.UpgradeTo reading) {
                reading.onUpgradeTo(next.flip());
            }
        }
    }
}
