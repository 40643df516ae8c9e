package nibble.calibrate.job;

/** Ends a strict run at what would else have been a warning. */
public final class UnusualErrorException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public UnusualErrorException(String message) {
        super(message);
    }
}
