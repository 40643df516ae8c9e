package nibble.calibrate;

import java.util.List;

/**
 * Takes finished layers and makes them durable, in order and each once. Whatever computes layers, on whatever device, hands
 * them to this; what is in it survives the process.
 */
@FunctionalInterface
public interface LayerJournal {
    /**
     * A layer that an earlier run finished.
     *
     * @param sourceSha256 of the original weights it was made from
     */
    record Durable(int layer, String sourceSha256, QuantizationReport.Layer report) {}

    /** The layers 0 … n−1 that are durable already: a run begins with layer n. */
    default List<Durable> durable() {
        return List.of();
    }

    /**
     * Makes the next layer durable: when this returns, no loss of power can take it away. Called by one thread at a time.
     *
     * @throws nibble.convert.OutputException if the disk is full or refuses; the layers before are not touched
     */
    void append(FinishedLayer layer);
}
