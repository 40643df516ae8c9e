package nibble.serve.http;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;

/** The chat page: one file that loads nothing. The browser is told to run its own script and no other. */
final class ChatPage {
    private final byte[] html;
    private final String policy;

    ChatPage() {
        try (InputStream in = ChatPage.class.getResourceAsStream("/nibble/serve/chat.html")) {
            if (in == null) {
                throw new IllegalStateException("the chat page is not in this build");
            }
            html = in.readAllBytes();
        } catch (IOException e) {
            throw new IllegalStateException("the chat page cannot be read", e);
        }
        String text = new String(html, StandardCharsets.UTF_8);
        policy = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
                + " frame-ancestors 'none'; script-src 'sha256-" + digest(between(text, "<script>", "</script>"))
                + "'; style-src 'sha256-" + digest(between(text, "<style>", "</style>")) + "'";
    }

    void answer(Exchange exchange) {
        exchange.answerHeader("Content-Security-Policy", policy);
        exchange.answerHeader("X-Content-Type-Options", "nosniff");
        exchange.answerHeader("Referrer-Policy", "no-referrer");
        exchange.send(200, "text/html; charset=utf-8", html);
    }

    private static String between(String text, String begin, String end) {
        int at = text.indexOf(begin) + begin.length();
        return text.substring(at, text.indexOf(end, at));
    }

    private static String digest(String text) {
        try {
            return Base64.getEncoder()
                    .encodeToString(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
