package nibble.convert.hub;

/** An access token. Prints as nothing, so that no log or message can hold it. */
public final class HubToken {
    private final String secret;

    private HubToken(String secret) {
        this.secret = secret;
    }

    /**
     * @param text the token; white space around it, as files end with, is dropped
     * @throws IllegalArgumentException if it is empty or holds what no header may
     */
    public static HubToken of(String text) {
        String secret = text.strip();
        if (secret.isEmpty() || secret.chars().anyMatch(c -> c <= ' ' || c > '~')) {
            throw new IllegalArgumentException("the hub token is empty or holds blanks or characters beyond ASCII; copy it again");
        }
        return new HubToken(secret);
    }

    /** The value of an Authorization header. */
    String header() {
        return "Bearer " + secret;
    }

    /** {@code text} without this token, should a server have sent it back. */
    String removedFrom(String text) {
        return text.replace(secret, "<token>");
    }

    @Override
    public String toString() {
        return "<token>";
    }
}
