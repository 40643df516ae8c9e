package nibble.jinja.syntax;

/** Reports that a template cannot be read or rendered. The message begins with the line, where one is known. */
public final class JinjaException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** Says why. */
    public enum Reason {
        /** The text is no template. */
        SYNTAX,
        /** The template called {@code raise_exception}; the message is what it said. */
        RAISED,
        /** Jinja2 raises an error too. */
        ERROR,
        /** A bound of this implementation. */
        LIMIT
    }

    private final Reason reason;

    public JinjaException(Reason reason, String message) {
        super(message);
        this.reason = reason;
    }

    public static JinjaException syntax(int line, String message) {
        return new JinjaException(Reason.SYNTAX, "line " + line + ": " + message);
    }

    public Reason reason() {
        return reason;
    }
}
