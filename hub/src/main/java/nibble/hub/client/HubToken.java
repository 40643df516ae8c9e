package nibble.hub.client;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;

/** Holds an access token. Prints as nothing, so that no log or message can hold it. */
public final class HubToken {
    private final String secret;

    private HubToken(String secret) {
        this.secret = secret;
    }

    /**
     * Makes a token of a text.
     *
     * @param text the token; white space around it, as files end with, is dropped
     * @throws IllegalArgumentException if it is empty or holds what no header may
     */
    public static HubToken of(String text) {
        String secret = text.strip();
        if (secret.isEmpty() || secret.chars().anyMatch(c -> c <= ' ' || c > '~')) {
            throw new IllegalArgumentException(
                    "the hub token is empty or holds blanks or characters beyond ASCII; copy it again");
        }
        return new HubToken(secret);
    }

    /** The value of an Authorization header. */
    String header() {
        return "Bearer " + secret;
    }

    /** The token itself, to be kept in a file. */
    String secret() {
        return secret;
    }

    /** {@code text} without this token, should a server have sent it back, as it is or as addresses write it. */
    String removedFrom(String text) {
        String coded = URLEncoder.encode(secret, StandardCharsets.UTF_8);
        return text.replace(secret, "<token>").replace(coded, "<token>");
    }

    @Override
    public String toString() {
        return "<token>";
    }
}
