package nibble.serve.api;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/** Refuses a request with a status of HTTP and an error body in OpenAI's form. */
public final class ApiException extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final String INVALID = "invalid_request_error";

    private final int status;
    private final String type;
    private final @Nullable String code;
    private final @Nullable String param;
    private final int retrySeconds;

    private ApiException(
            int status, String type, @Nullable String code, @Nullable String param, int retrySeconds, String message) {
        super(message);
        this.status = status;
        this.type = type;
        this.code = code;
        this.param = param;
        this.retrySeconds = retrySeconds;
    }

    /**
     * Refuses a value.
     *
     * @param param the field at fault, or null for the whole body
     */
    public static ApiException invalid(@Nullable String param, String message) {
        return new ApiException(400, INVALID, null, param, 0, message);
    }

    /** Refuses a field that this server does not implement. */
    public static ApiException unsupported(String param, String message) {
        return new ApiException(400, INVALID, "unsupported_parameter", param, 0, message);
    }

    /** Refuses a prompt that does not fit into the context with the tokens asked for. */
    public static ApiException tooLong(String param, String message) {
        return new ApiException(400, INVALID, "context_length_exceeded", param, 0, message);
    }

    public static ApiException wrongKey(String message) {
        return new ApiException(401, INVALID, "invalid_api_key", null, 0, message);
    }

    public static ApiException unknownModel(String message) {
        return new ApiException(404, INVALID, "model_not_found", "model", 0, message);
    }

    /** Refuses for the present; the client may ask again after some seconds. */
    public static ApiException busy(String message) {
        return new ApiException(429, "rate_limit_error", "rate_limit_exceeded", null, 1, message);
    }

    /** Refuses since the server is about to end. */
    public static ApiException ending() {
        return new ApiException(
                503, "server_error", "shutting_down", null, 5, "the server is shutting down; ask another one");
    }

    public static ApiException failed(String message) {
        return new ApiException(500, "server_error", null, null, 0, message);
    }

    /** Refuses with any other status. */
    public static ApiException of(int status, String message) {
        return new ApiException(status, status >= 500 ? "server_error" : INVALID, null, null, 0, message);
    }

    public int status() {
        return status;
    }

    /** Returns the seconds after which to ask again, if that may help. */
    public OptionalInt retrySeconds() {
        return retrySeconds > 0 ? OptionalInt.of(retrySeconds) : OptionalInt.empty();
    }

    /** Returns the body. */
    public ObjectNode body() {
        ObjectNode body = JsonNodeFactory.instance.objectNode();
        body.putObject("error")
                .put("message", getMessage())
                .put("type", type)
                .put("param", param)
                .put("code", code);
        return body;
    }
}
