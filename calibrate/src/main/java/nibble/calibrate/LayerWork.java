package nibble.calibrate;

import java.util.List;
import nibble.calibrate.journal.LayerJournal;
import nibble.calibrate.journal.LayerWriter;
import nibble.calibrate.search.LayerQuantizer;
import nibble.calibrate.search.LayerSource;
import nibble.engine.tensor.DecoderLayer;

/** What a method does with one layer after another, and the calibration text on its way through them. */
interface LayerWork extends AutoCloseable {
    /** Returns whether the text has to go through a layer that is durable, to get to those that are not. */
    boolean needs(int layer);

    /** Moves the text through a layer that is durable. */
    void pass(int layer, List<DecoderLayer> weights);

    /** Saves the text as it goes into the next layer, if the journal wants it now. */
    void save(LayerJournal journal, LayerWriter writer);

    /**
     * Quantizes a layer.
     *
     * @param weights of the layer, on each device
     */
    LayerQuantizer.Outcome quantize(int layer, List<DecoderLayer> weights, LayerSource source);

    /** Hears that a layer was handed to the writer, and all before it. */
    default void made(LayerJournal journal, LayerWriter writer) {}

    @Override
    void close();
}
