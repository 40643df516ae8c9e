package nibble.calibrate;

import nibble.calibrate.ProgressListener.Stage;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.TensorNames;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backend;
import nibble.engine.DecoderLayer;
import nibble.engine.DenseWeight;
import nibble.engine.LinearInput;
import org.jspecify.annotations.Nullable;

/** The calibration blocks of a job on their way through its model, if it has any. Owns their stream. */
final class Calibration implements AutoCloseable {
    private final Checkpoint source;
    private final int[][] blocks;
    private final Backend backend;
    private final Progress progress;
    private final @Nullable CalibrationStream stream;

    Calibration(QuantizationJob job, Backend backend, Progress progress) {
        this.source = job.source();
        this.blocks = job.blocks().map(TokenBlocks::blocks).orElse(new int[0][]);
        this.backend = backend;
        this.progress = progress;
        this.stream = blocks.length == 0
                ? null
                : new CalibrationStream(
                        source.config(), new DenseWeight(source.tensor(TensorNames.EMBEDDING)), blocks, backend);
    }

    /** Moves the blocks through a layer whose statistics are not needed any more. */
    void pass(int layer) {
        if (stream != null) {
            progress.stage(Stage.FORWARD);
            stream.pass(
                    DecoderLayer.read(source, layer),
                    done -> progress.forwarded(tokens(done), Work.passBlock(source.config(), tokens(done))));
        }
    }

    /** Moves the blocks through a layer; null where there are none. The caller closes the result. */
    @Nullable LayerStatistics measure(int layer) {
        if (stream == null) {
            return null;
        }
        progress.stage(Stage.FORWARD);
        LayerStatistics statistics = new LayerStatistics(backend, progress);
        try {
            stream.advance(
                    DecoderLayer.read(source, layer),
                    statistics,
                    done -> progress.forwarded(tokens(done), Work.forward(source.config(), tokens(done))));
            requireFinite(layer, statistics);
            return statistics;
        } catch (RuntimeException | Error e) {
            statistics.close();
            throw e;
        }
    }

    private int tokens(int done) {
        return blocks[done - 1].length;
    }

    private void requireFinite(int layer, LayerStatistics statistics) {
        for (LinearInput input : LinearInput.values()) {
            for (double mean : statistics.meanAbsolute(input)) {
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
