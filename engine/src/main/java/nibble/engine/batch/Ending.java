package nibble.engine.batch;

/** Says why a text ended. */
public enum Ending {
    /** A stop id came, or the listener wanted no more. */
    STOP,
    /** The most new tokens, or the end of the context. */
    LENGTH,
    /** {@link Generation#cancel()}, or the service was closed. */
    CANCELLED
}
