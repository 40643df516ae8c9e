package nibble.datasets;

/**
 * Rejects a text, data set or tokenizer that cannot be used: missing, damaged, too small. The message says what to do.
 */
public final class BadDatasetException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public BadDatasetException(String message) {
        super(message);
    }

    public BadDatasetException(String message, Throwable cause) {
        super(message, cause);
    }
}
