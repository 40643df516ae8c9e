package nibble.calibrate;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.calibrate.ProgressListener.Stage;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.TensorNames;
import nibble.datasets.TokenBlocks;
import nibble.engine.DecoderLayer;
import nibble.engine.DenseWeight;
import nibble.engine.LinearInput;
import nibble.engine.quantize.QuantizationDevices;
import org.jspecify.annotations.Nullable;

/** The calibration blocks of a job on their way through its model, if it has any. Owns their stream. */
final class Calibration implements AutoCloseable {
    private final Checkpoint source;
    private final int[][] blocks;
    private final QuantizationDevices devices;
    private final Progress progress;
    private final @Nullable CalibrationStream stream;
    /** The layer that the stream goes into next. */
    private int next;

    private double forwardSecondsWhenSaved;

    /** Begins with the stream that the journal has, or with the embeddings. */
    Calibration(QuantizationJob job, QuantizationDevices devices, LayerJournal journal, Progress progress) {
        this.source = job.source();
        this.blocks = job.blocks().map(TokenBlocks::blocks).orElse(new int[0][]);
        this.devices = devices;
        this.progress = progress;
        this.stream = blocks.length == 0 ? null : open(journal.savedStream());
    }

    private CalibrationStream open(Optional<LayerJournal.SavedStream> saved) {
        if (saved.isPresent()) {
            Optional<CalibrationStream> read = CalibrationStream.read(
                    saved.get().file(), saved.get().sha256(), source.config(), blocks, devices);
            if (read.isPresent()) {
                next = saved.get().layer();
                return read.get();
            }
        }
        return CalibrationStream.ofEmbeddings(
                source.config(), new DenseWeight(source.tensor(TensorNames.EMBEDDING)), blocks, devices);
    }

    /** Whether the blocks have to go through a layer that is durable, to get to those that are not. */
    boolean needs(int layer) {
        return stream != null && layer >= next;
    }

    /** Saves the stream if the journal wants it now. */
    void save(LayerJournal journal, LayerWriter writer) {
        if (stream == null) {
            return;
        }
        double seconds = progress.forwardSeconds() - forwardSecondsWhenSaved;
        Optional<Path> file = journal.fileForStream(next, stream.bytes(), seconds);
        if (file.isEmpty()) {
            return;
        }
        progress.stage(Stage.SAVE_STREAM);
        // A stream ahead of the durable layers would be of no use to them.
        writer.drain();
        journal.streamSaved(new LayerJournal.SavedStream(next, file.get(), stream.save(file.get())));
        forwardSecondsWhenSaved = progress.forwardSeconds();
    }

    /** Moves the blocks through a layer whose statistics are not needed any more. */
    void pass(int layer, List<DecoderLayer> weights) {
        if (stream != null) {
            progress.stage(Stage.FORWARD);
            stream.pass(weights, tokens -> progress.forwarded(tokens, Work.passBlock(source.config(), tokens)));
            next = layer + 1;
        }
    }

    /**
     * Moves the blocks through a layer; null where there are none. The caller closes the result.
     *
     * @param weights of the layer, on each device
     */
    @Nullable LayerStatistics measure(int layer, List<DecoderLayer> weights) {
        if (stream == null) {
            return null;
        }
        progress.stage(Stage.FORWARD);
        LayerStatistics statistics = new LayerStatistics(devices, progress);
        try {
            stream.advance(
                    weights, statistics, tokens -> progress.forwarded(tokens, Work.forward(source.config(), tokens)));
            next = layer + 1;
            requireFinite(layer, statistics);
            return statistics;
        } catch (RuntimeException | Error e) {
            statistics.close();
            throw e;
        }
    }

    private void requireFinite(int layer, LayerStatistics statistics) {
        for (LinearInput input : LinearInput.values()) {
            for (double mean : statistics.of(input).meanAbsolute()) {
                if (!Double.isFinite(mean)) {
                    throw new BadCheckpointException(
                            source.folder(),
                            "layer " + layer + ", input " + input + ": the activations of the calibration text are not"
                                    + " finite, so these are not the weights of a working model; download them again");
                }
            }
        }
    }

    @Override
    public void close() {
        if (stream != null) {
            stream.close();
        }
    }
}
