package nibble.hub.client;

import org.jspecify.annotations.Nullable;

/**
 * Reports that the network or the hub refused. The message says which request, what the hub answered (its error code,
 * text and request id) and what to do; it never holds a token or a signed address.
 */
public final class HubException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** No answer came: the request may or may not have been carried out. */
    public static final int NO_ANSWER = 0;

    private final int status;
    private final String errorCode;
    private final boolean elsewhere;

    public HubException(String message) {
        this(message, -1, "", null);
    }

    public HubException(String message, int status, String errorCode, @Nullable Throwable cause) {
        this(message, status, errorCode, false, cause);
    }

    /**
     * Makes the report of an answer.
     *
     * @param elsewhere whether not the hub refused but what it had sent us to: an object store
     */
    public HubException(String message, int status, String errorCode, boolean elsewhere, @Nullable Throwable cause) {
        super(message, cause);
        this.status = status;
        this.errorCode = errorCode;
        this.elsewhere = elsewhere;
    }

    @Override
    public String getMessage() {
        return String.valueOf(super.getMessage());
    }

    /** Returns the same refusal, told otherwise. */
    public HubException told(String message) {
        return new HubException(message, status, errorCode, elsewhere, this);
    }

    /** Returns the HTTP status, 0 if no answer came, -1 if the request is not to blame. */
    public int status() {
        return status;
    }

    /** Returns the hub's {@code X-Error-Code}, as {@code RepoNotFound}; or empty. */
    public String errorCode() {
        return errorCode;
    }

    /** Returns whether the hub may have carried the request out although it did not say so. */
    public boolean outcomeUnknown() {
        return status == NO_ANSWER || status == 408 || status >= 500;
    }

    /**
     * Returns whether this is an object store's way to say that the signed address has expired: the hub gives another
     * one.
     */
    public boolean addressExpired() {
        return elsewhere && errorCode.isEmpty() && (status == 400 || status == 401 || status == 403);
    }
}
