package nibble.calibrate;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.journal.LayerJournal;
import nibble.calibrate.journal.LayerWriter;
import nibble.calibrate.search.LayerQuantizer;
import nibble.calibrate.search.LayerSource;
import nibble.calibrate.search.Work;
import nibble.calibrate.stream.CalibrationStream;
import nibble.calibrate.stream.ExpertTokens;
import nibble.calibrate.stream.LayerInputs;
import nibble.calibrate.stream.LayerStatistics;
import nibble.calibrate.stream.TurnedStatistics;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Streams;
import nibble.engine.backend.Workers;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import org.jspecify.annotations.Nullable;

/**
 * Methods rtn and awq: the calibration blocks of a job, if it has any, on their way through the original model, and
 * each layer by the statistics of its inputs. Owns the blocks' stream.
 */
final class Calibration implements LayerWork {
    private final Method method;
    private final LayerQuantizer quantizer;
    private final Checkpoint source;
    private final int[][] blocks;
    private final QuantizationDevices devices;
    private final WorkProgress progress;
    private final @Nullable CalibrationStream stream;
    /** The layer that the stream goes into next. */
    private int next;

    private double forwardSecondsWhenSaved;

    /** Begins with the stream that the journal has, or with the embeddings. */
    Calibration(
            QuantizationJob job,
            QuantizationDevices devices,
            LayerJournal journal,
            Workers workers,
            WorkProgress progress) {
        this.method = job.options().method();
        this.quantizer = new LayerQuantizer(job.source().config(), job.options().spec(), workers, progress);
        this.source = job.source();
        this.blocks = job.blocks().map(TokenBlocks::blocks).orElse(new int[0][]);
        this.devices = devices;
        this.progress = progress;
        this.stream = blocks.length == 0 ? null : open(journal.savedStream());
    }

    private CalibrationStream open(Optional<LayerJournal.SavedStream> saved) {
        if (saved.isPresent()) {
            Optional<CalibrationStream> read =
                    CalibrationStream.read(saved.get().file(), saved.get().sha256(), source.config(), blocks, devices);
            if (read.isPresent()) {
                next = saved.get().layer();
                return read.get();
            }
        }
        return CalibrationStream.ofEmbeddings(
                source.config(), new DenseWeight(source.tensor(TensorNames.EMBEDDING)), blocks, devices, Streams.ONE);
    }

    @Override
    public boolean needs(int layer) {
        return stream != null && layer >= next;
    }

    @Override
    public void save(LayerJournal journal, LayerWriter writer) {
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

    @Override
    public void pass(int layer, List<DecoderLayer> weights) {
        if (stream != null) {
            progress.stage(Stage.FORWARD);
            stream.pass(weights, tokens -> progress.forwarded(tokens, Work.passBlock(source.config(), tokens)));
            next = layer + 1;
        }
    }

    @Override
    public LayerQuantizer.Outcome quantize(int layer, List<DecoderLayer> weights, LayerSource source) {
        try (@Nullable LayerInputs inputs = turned(layer, weights)) {
            return quantize(quantizer, method, source, inputs);
        }
    }

    /** Statistics of a layer; gates and ups of experts take turns where there is no room for all. */
    private @Nullable LayerInputs turned(int layer, List<DecoderLayer> weights) {
        ModelConfig config = source.config();
        List<Expert> experts = config.experts(layer).map(Experts::all).orElse(List.of());
        if (stream == null || !TurnedStatistics.isNeeded(config, experts, devices)) {
            return measure(layer, weights);
        }
        progress.stage(Stage.FORWARD);
        TurnedStatistics statistics = new TurnedStatistics(
                config,
                devices,
                progress,
                stream,
                weights,
                () -> expertTokens(layer).orElseThrow(),
                (input, expert, its) -> requireFinite(layer, input, expert, its),
                tokens -> progress.forwarded(tokens, Work.forward(config, tokens)));
        try {
            next = layer + 1;
            requireFinite(layer, statistics.others());
            return statistics;
        } catch (RuntimeException | Error e) {
            statistics.close();
            throw e;
        }
    }

    private Optional<ExpertTokens> expertTokens(int layer) {
        return source.config().experts(layer).map(experts -> new ExpertTokens(source.config(), experts, tokens()));
    }

    /** A layer by the statistics of its inputs, which may be missing for method rtn. */
    static LayerQuantizer.Outcome quantize(
            LayerQuantizer quantizer, Method method, LayerSource source, @Nullable LayerInputs statistics) {
        return method == Method.AWQ && statistics != null
                ? quantizer.quantize(source, statistics)
                : quantizer.round(source, statistics);
    }

    /**
     * Moves the blocks through a layer; null where there are none. The caller closes the result.
     *
     * @param weights of the layer, on each device
     */
    @Nullable
    LayerStatistics measure(int layer, List<DecoderLayer> weights) {
        if (stream == null) {
            return null;
        }
        progress.stage(Stage.FORWARD);
        LayerStatistics statistics =
                new LayerStatistics(devices, progress, expertTokens(layer).orElse(null));
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
        for (StoredLinear stored : source.config().linears(layer)) {
            LayerLinear linear = stored.id();
            if (statistics.has(linear.input(), linear.expert())) {
                requireFinite(layer, linear.input(), linear.expert(), statistics.of(linear.input(), linear.expert()));
            }
        }
    }

    private void requireFinite(int layer, LinearInput input, Expert expert, InputStatistics statistics) {
        for (double mean : statistics.meanAbsolute()) {
            if (!Double.isFinite(mean)) {
                throw new BadCheckpointException(
                        source.folder(),
                        "layer " + layer + ", input " + input + (expert.isPart() ? " of " + expert : "")
                                + ": the activations of the calibration text are not"
                                + " finite, so these are not the weights of a working model; download them again");
            }
        }
    }

    private long tokens() {
        return Arrays.stream(blocks).mapToLong(block -> block.length).sum();
    }

    @Override
    public void close() {
        if (stream != null) {
            stream.close();
        }
    }
}
