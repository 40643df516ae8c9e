package nibble.engine;

/** Reports that the model gave a logit that is not a number: its weights are damaged or its activations overflow. */
public final class NonFiniteLogitException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public NonFiniteLogitException(String message) {
        super(message);
    }
}
