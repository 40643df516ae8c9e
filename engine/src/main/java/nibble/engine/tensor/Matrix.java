package nibble.engine.tensor;

/**
 * Holds activations [rows, columns], row-major, owned by the backend that allocated them; free with {@link #close()}.
 */
public interface Matrix extends AutoCloseable {
    int rows();

    int columns();

    @Override
    void close();
}
