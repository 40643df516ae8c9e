package nibble.engine.tensor;

/**
 * Supplies decoder layers whose weights lie where a backend computes, one at a time. Owns what it takes there; used by
 * one thread.
 */
public interface LayerFeed extends AutoCloseable {
    /**
     * Returns the weights of a layer. They may be used until the next call: where a device is too small for the whole
     * model, that call may give their place to another layer. Layers are best asked for in order, so that the next one
     * is on its way while this one computes.
     */
    DecoderLayer layer(int index);

    @Override
    void close();
}
