package nibble.calibrate.journal;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.stream.StreamFile;

/**
 * Takes finished layers and makes them durable, in order and each once. Whatever computes layers, on whatever device,
 * hands them to this, best through a {@link LayerWriter}; what is in it survives the process.
 *
 * <p>The calibration stream, without which no further layer can be computed, is made anew by running the original
 * layers forward. Where that takes long beside writing the stream down, it can be saved here too.
 */
@FunctionalInterface
public interface LayerJournal {
    /**
     * Describes a layer that an earlier run finished.
     *
     * @param sourceSha256 of the original weights it was made from
     */
    record Durable(int layer, String sourceSha256, QuantizationReport.Layer report) {}

    /**
     * Holds the calibration stream as it goes into a layer.
     *
     * @param sha256 of the file, which is as {@link StreamFile} has it
     */
    record SavedStream(int layer, Path file, String sha256) {}

    /** Returns the layers 0 … n−1 that are durable already: a run begins with layer n. */
    default List<Durable> durable() {
        return List.of();
    }

    /**
     * Makes the next layer durable: when this returns, no loss of power can take it away. Called by one thread at a
     * time.
     *
     * @throws nibble.files.output.OutputException if the disk is full or refuses; the layers before are not touched
     */
    void append(FinishedLayer layer);

    /** Returns the latest saved stream that goes into a durable layer or the one after them. */
    default Optional<SavedStream> savedStream() {
        return Optional.empty();
    }

    /**
     * Returns the file for the stream that goes into {@code layer}; none if it is not to be saved now. All layers
     * before are durable.
     *
     * @param bytes it takes
     * @param forwardSeconds it would take to make it anew from the one saved last
     */
    default Optional<Path> fileForStream(int layer, long bytes, double forwardSeconds) {
        return Optional.empty();
    }

    /** Takes note of a stream that is durable in its file now; those before it are not needed any more. */
    default void streamSaved(SavedStream stream) {}
}
