package nibble.calibrate;

import nibble.calibrate.journal.FinishedLayer;

/** Supplies the layers of a quantization that other processes make. */
public interface LayerSupply extends AutoCloseable {
    /** Begins; the layers before {@code first} are durable already. */
    void begin(int first);

    /** Waits for a layer. Asked for in order, each once, from the first on. */
    FinishedLayer layer(int layer);

    /** Hears that a layer is durable, and all before it. */
    void durable(int layer);

    @Override
    void close();
}
