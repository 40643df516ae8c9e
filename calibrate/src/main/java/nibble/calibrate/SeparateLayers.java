package nibble.calibrate;

import java.util.List;
import java.util.Optional;
import java.util.function.IntPredicate;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.journal.FinishedLayer;
import nibble.calibrate.search.LayerQuantizer;
import nibble.calibrate.search.LayerSource;
import nibble.calibrate.stream.LayerMoments;
import nibble.calibrate.stream.LayerStatistics;
import nibble.checkpoint.Checkpoint;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Workers;
import nibble.engine.tensor.DecoderLayer;
import nibble.files.output.StopSignal;
import org.jspecify.annotations.Nullable;

/**
 * Quantizes a model in two kinds of pieces, which several processes can make: one stream of the calibration text that
 * leaves the second moments of each layer behind, and each layer by its moments. Methods rtn and awq, on the host: with
 * method best a layer depends on how those before it were rounded.
 */
public final class SeparateLayers {
    private SeparateLayers() {}

    /** Takes the moments of a layer. */
    @FunctionalInterface
    public interface Sink {
        /** Takes them, before the next layer's are made. */
        void of(int layer, LayerMoments moments);
    }

    /** Returns whether a method's layers can be made separately. */
    public static boolean canBeMade(Method method) {
        return method != Method.BEST;
    }

    /**
     * Runs the calibration text through the original layers, up to the last that is wanted.
     *
     * @param job with calibration text
     * @param backend of the host
     * @param wanted layers whose moments are needed
     */
    public static void stream(QuantizationJob job, Backend backend, IntPredicate wanted, Sink sink, StopSignal stop) {
        int layers = job.source().config().layers();
        int end = layers;
        while (end > 0 && !wanted.test(end - 1)) {
            end--;
        }
        QuantizationDevices devices = QuantizationDevices.of(backend);
        WorkProgress progress = new WorkProgress(ProgressListener.NONE, stop, layers, backend::synchronize);
        progress.expect(layers);
        int threads = job.options().threads();
        try (Workers workers = new Workers(threads);
                SourceLayers source = new SourceLayers(job.source(), devices, threads);
                Calibration calibration = new Calibration(job, devices, _ -> {}, workers, progress)) {
            for (int layer = 0; layer < end; layer++) {
                progress.layer(layer, 1);
                List<DecoderLayer> weights = source.layer(layer);
                if (!wanted.test(layer)) {
                    calibration.pass(layer, weights);
                    continue;
                }
                try (@Nullable LayerStatistics statistics = calibration.measure(layer, weights)) {
                    if (statistics == null) {
                        throw new IllegalArgumentException("second moments asked for without a calibration text");
                    }
                    sink.of(layer, statistics.save());
                }
            }
        }
    }

    /**
     * Quantizes one layer. A pure function.
     *
     * @param backend of the host
     * @param moments of the layer's inputs; none for plain rounding without a text
     */
    public static FinishedLayer layer(
            Checkpoint source, QuantizeOptions options, int layer, Backend backend, Optional<LayerMoments> moments) {
        QuantizationDevices devices = QuantizationDevices.of(backend);
        int layers = source.config().layers();
        WorkProgress progress = new WorkProgress(ProgressListener.NONE, new StopSignal(), layers, backend::synchronize);
        progress.expect(layers);
        progress.layer(layer, layers);
        try (Workers workers = new Workers(options.threads());
                SourceLayers originals = new SourceLayers(source, devices, options.threads());
                LayerSource linears = LayerSource.of(source, layer, originals.layer(layer), devices, options.spec());
                @Nullable
                        LayerStatistics statistics = moments.map(saved -> LayerStatistics.of(saved, backend, progress))
                                .orElse(null)) {
            LayerQuantizer.Outcome outcome = Calibration.quantize(
                    new LayerQuantizer(source.config(), options.spec(), workers, progress),
                    options.method(),
                    linears,
                    statistics);
            return new FinishedLayer(
                    layer,
                    originals.sha256(layer),
                    CheckpointQuantizer.packer(source.config(), options).pack(layer, outcome.layer()),
                    outcome.report());
        }
    }
}
