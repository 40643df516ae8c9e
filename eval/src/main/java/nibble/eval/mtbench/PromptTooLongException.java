package nibble.eval.mtbench;

/** Rejects a conversation that does not fit the model's context. */
public final class PromptTooLongException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    PromptTooLongException(String message) {
        super(message);
    }
}
