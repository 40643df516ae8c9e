package nibble.serve.http;

import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;

/** Sends bytes as they are, which no HTTP client does. */
final class RawClient {
    private static final int PATIENCE_MILLIS = 10_000;

    private RawClient() {}

    /** Opens a connection and sends; each character is a byte. */
    static Socket send(URI server, String bytes) throws IOException {
        Socket socket = new Socket(server.getHost(), server.getPort());
        socket.setSoTimeout(PATIENCE_MILLIS);
        socket.getOutputStream().write(bytes.getBytes(StandardCharsets.ISO_8859_1));
        socket.getOutputStream().flush();
        return socket;
    }

    /** Returns all that comes until the other side closes, or has sent nothing for ten seconds. */
    static String answer(Socket socket) {
        StringBuilder text = new StringBuilder();
        try {
            InputStream in = socket.getInputStream();
            byte[] piece = new byte[8192];
            for (int length = in.read(piece); length >= 0; length = in.read(piece)) {
                text.append(new String(piece, 0, length, StandardCharsets.UTF_8));
            }
        } catch (IOException e) {
            // What came until then is the answer.
        }
        return text.toString();
    }
}
