package nibble.cli.option;

/** Rejects a file or folder that a command was given to read and that is not there, or of another kind; exit code 3. */
public final class InputException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public InputException(String message) {
        super(message);
    }
}
