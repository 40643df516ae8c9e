package nibble.eval.harness;

/** Reports a name that is no task, group or tag. The message names it and the nearest ones. */
public final class UnknownTaskException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    UnknownTaskException(String message) {
        super(message);
    }
}
