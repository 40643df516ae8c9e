package nibble.calibrate;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.journal.LayerJournal;
import nibble.calibrate.journal.LayerWriter;
import nibble.calibrate.search.LayerFitter;
import nibble.calibrate.search.LayerQuantizer;
import nibble.calibrate.search.LayerSource;
import nibble.calibrate.stream.PairedStream;
import nibble.calibrate.tune.BestDefaults;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.TensorNames;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Workers;
import nibble.engine.quantize.FitSteps;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import org.jspecify.annotations.Nullable;

/**
 * Method best: the calibration blocks on their way through the original and the quantized model, and each layer fitted
 * to both. A durable layer is believed only where both streams were saved behind it, so none has to be passed.
 */
final class FittingWork implements LayerWork {
    private final QuantizationJob job;
    private final QuantizationDevices devices;
    private final LayerJournal journal;
    private @Nullable PairedStream stream;
    private final LayerFitter fitter;
    private final WorkProgress progress;
    private int next;
    private long savedNanos = System.nanoTime();

    /** Begins with the streams that the journal has, or with the embeddings; not before a layer is to be fitted. */
    FittingWork(
            QuantizationJob job,
            QuantizationDevices devices,
            LayerJournal journal,
            Workers workers,
            WorkProgress progress) {
        BestDefaults.requireSteps(
                job.source().config(), job.source().configFile(), job.options().steps());
        this.job = job;
        this.devices = devices;
        this.journal = journal;
        this.progress = progress;
        this.fitter = new LayerFitter(job.source().config(), job.options().spec(), FitSteps.ALL, workers, progress);
        this.next = journal.durable().size();
    }

    private PairedStream stream() {
        if (stream == null) {
            Checkpoint source = job.source();
            int[][] all = job.blocks().map(TokenBlocks::blocks).orElseThrow();
            int[][] blocks =
                    Arrays.copyOf(all, Math.min(all.length, job.options().best().fitBlocks()));
            Optional<PairedStream> saved = journal.savedStream()
                    .flatMap(
                            there -> PairedStream.read(there.file(), there.sha256(), source.config(), blocks, devices));
            if (next > 0 && saved.isEmpty()) {
                throw new IllegalStateException("layers 0 to " + (next - 1) + " are durable without their streams");
            }
            stream = saved.orElseGet(() -> PairedStream.ofEmbeddings(
                    source.config(), new DenseWeight(source.tensor(TensorNames.EMBEDDING)), blocks, devices));
        }
        return stream;
    }

    @Override
    public boolean needs(int layer) {
        return false;
    }

    @Override
    public void pass(int layer, List<DecoderLayer> weights) {
        throw new IllegalStateException("layer " + layer + " was to be passed");
    }

    /** Does nothing: streams are saved behind a layer, since the layer counts for nothing without them. */
    @Override
    public void save(LayerJournal journal, LayerWriter writer) {}

    @Override
    public void made(LayerJournal journal, LayerWriter writer) {
        double seconds = (System.nanoTime() - savedNanos) / 1e9;
        Optional<Path> file = journal.fileForStream(next, stream().bytes(), seconds);
        if (file.isEmpty()) {
            return;
        }
        progress.stage(Stage.SAVE_STREAM);
        writer.drain();
        journal.streamSaved(
                new LayerJournal.SavedStream(next, file.get(), stream().save(file.get())));
        savedNanos = System.nanoTime();
    }

    @Override
    public LayerQuantizer.Outcome quantize(int layer, List<DecoderLayer> weights, LayerSource source) {
        LayerQuantizer.Outcome outcome = fitter.quantize(source, weights, stream());
        next = layer + 1;
        return outcome;
    }

    @Override
    public void close() {
        if (stream != null) {
            stream.close();
        }
    }
}
