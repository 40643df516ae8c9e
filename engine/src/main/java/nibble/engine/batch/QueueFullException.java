package nibble.engine.batch;

/** Rejects a text because as many wait as may. */
public final class QueueFullException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public QueueFullException(String message) {
        super(message);
    }
}
