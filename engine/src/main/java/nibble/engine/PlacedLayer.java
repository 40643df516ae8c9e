package nibble.engine;

/**
 * A decoder layer whose weights lie where a backend computes. Owns what it takes there; the weights must not be used after
 * {@link #close()}.
 */
public interface PlacedLayer extends AutoCloseable {
    DecoderLayer layer();

    @Override
    void close();

    /** A layer that is used where it already lies, on the host. */
    static PlacedLayer onHost(DecoderLayer layer) {
        DecoderLayer unpacked = layer.unpacked();
        return new PlacedLayer() {
            @Override
            public DecoderLayer layer() {
                return unpacked;
            }

            @Override
            public void close() {}
        };
    }
}
