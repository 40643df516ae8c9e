package nibble.serve.http;

import java.nio.charset.StandardCharsets;
import nibble.serve.api.ApiException;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.handler.ErrorHandler;
import org.eclipse.jetty.util.Callback;

/** Gives requests that Jetty itself refuses, as broken headers, the form of all other errors. */
final class JsonErrors extends ErrorHandler {
    @Override
    public boolean handle(Request request, Response response, Callback callback) {
        byte[] body = body(response.getStatus(), request.getAttribute(ERROR_MESSAGE));
        response.getHeaders().put(HttpHeader.CONTENT_TYPE, "application/json");
        response.getHeaders().put(HttpHeader.CONTENT_LENGTH, body.length);
        Content.Sink.write(response, true, new String(body, StandardCharsets.UTF_8), callback);
        return true;
    }

    private static byte[] body(int status, Object reason) {
        String message = reason instanceof String text && status < 500 ? text : "the request cannot be answered";
        return ApiException.of(status, message).body().toString().getBytes(StandardCharsets.UTF_8);
    }
}
