package nibble.eval;

/**
 * Reports that the model gave a NaN or infinite log-probability: its weights or its arithmetic are broken. The message
 * says where.
 */
public final class NonFiniteLogProbabilityException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public NonFiniteLogProbabilityException(String message) {
        super(message);
    }
}
