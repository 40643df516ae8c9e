package nibble.files.output;

/** Reports a run that ended before its end because its {@link StopSignal} was raised. The message says what is kept. */
public final class StoppedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public StoppedException(String message) {
        super(message);
    }
}
