package nibble.calibrate;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.function.Function;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.job.UnusualErrorException;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.journal.FinishedLayer;
import nibble.calibrate.journal.LayerJournal;
import nibble.calibrate.journal.LayerPacker;
import nibble.calibrate.journal.LayerWriter;
import nibble.calibrate.journal.SourceDigest;
import nibble.calibrate.search.LayerQuantizer;
import nibble.calibrate.search.LayerSource;
import nibble.calibrate.search.Work;
import nibble.calibrate.tune.TuningCost;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.checkpoint.origin.Origin;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Workers;
import nibble.engine.tensor.DecoderLayer;
import nibble.files.output.ResumeException;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.pack.GroupSizes;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * Runs the layer-by-layer pipeline: read a layer, run the calibration text through it, quantize it, hand it on, forget
 * it. What it hands on is written by a thread of its own while the next layer is computed.
 */
public final class Quantizer {
    private Quantizer() {}

    /**
     * Quantizes all layers that are not durable yet, in order.
     *
     * @param packer the output's format
     * @param journal takes each layer; what is not part of a layer is the caller's
     * @throws BadCheckpointException if the source is quantized already, a shape does not fit the spec, or a weight is
     *     not finite
     * @throws ResumeException if a durable layer was made of other weights
     * @throws UnusualErrorException if the options are strict and a linear loses more than rounding loses as a rule;
     *     all layers until then are durable
     * @throws StoppedException if {@code stop} was raised; all layers handed on are durable then
     */
    public static QuantizationReport run(
            QuantizationJob job,
            QuantizationDevices devices,
            LayerPacker packer,
            LayerJournal journal,
            ProgressListener listener,
            StopSignal stop) {
        return run(job, devices, packer, journal, progress(job, devices, listener, stop));
    }

    /** Counts the work of a run, in which tuning may follow the layers. */
    static WorkProgress progress(
            QuantizationJob job, QuantizationDevices devices, ProgressListener listener, StopSignal stop) {
        return new WorkProgress(listener, stop, job.source().config().layers(), devices::synchronize);
    }

    /** All layers; tuning, which may follow, is the caller's. */
    static QuantizationReport run(
            QuantizationJob job,
            QuantizationDevices devices,
            LayerPacker packer,
            LayerJournal journal,
            WorkProgress progress) {
        requireFits(
                job.source().config(), job.source().configFile(), job.options().spec());
        ModelConfig config = job.source().config();
        List<String> carried = UsualError.carried(job.source());
        if (job.options().strict() && !carried.isEmpty()) {
            throw new UnusualErrorException(carried.getFirst());
        }
        List<LayerJournal.Durable> durable = journal.durable();
        long tokens = job.blocks().map(TokenBlocks::tokens).orElse(0L);
        double layerWork = Work.layer(config, job.options(), fitTokens(job));
        double passWork = Work.pass(config, tokens);
        List<QuantizationReport.Layer> reports = new ArrayList<>();
        try (Workers workers = new Workers(job.options().threads());
                SourceLayers source =
                        new SourceLayers(job.source(), devices, job.options().threads());
                LayerWork work = work(job, devices, journal, workers, progress);
                LayerWriter writer = new LayerWriter(journal)) {
            long passes =
                    durable.stream().filter(layer -> work.needs(layer.layer())).count();
            progress.expect(passes * passWork
                    + (config.layers() - durable.size()) * layerWork
                    + job.blocks()
                            .map(blocks ->
                                    TuningCost.of(config, job.options(), blocks).work())
                            .orElse(0.0));
            for (LayerJournal.Durable layer : durable) {
                progress.layer(layer.layer(), work.needs(layer.layer()) ? passWork : 0);
                progress.stage(Stage.READ);
                if (work.needs(layer.layer())) {
                    List<DecoderLayer> weights = source.layer(layer.layer());
                    requireUnchanged(layer, source.sha256(layer.layer()));
                    work.pass(layer.layer(), weights);
                } else {
                    requireUnchanged(layer, source.sha256(layer.layer()));
                }
                progress.layerPassed();
                requireUsual(job.options(), layer.report());
                reports.add(layer.report());
            }
            for (int layer = durable.size(); layer < config.layers(); layer++) {
                progress.layer(layer, layerWork);
                if (layer > 0) {
                    work.save(journal, writer);
                }
                LayerQuantizer.Outcome outcome = layer(job, layer, source, devices, work, progress);
                progress.stage(Stage.WAIT);
                int index = layer;
                String sha256 = source.sha256(layer);
                writer.submit(
                        () -> new FinishedLayer(index, sha256, packer.pack(index, outcome.layer()), outcome.report()));
                work.made(journal, writer);
                reports.add(outcome.report());
                progress.layerFinished(outcome.report());
                if (job.options().strict()
                        && !warnings(job.options(), outcome.report()).isEmpty()) {
                    progress.stage(Stage.WAIT);
                    writer.finish();
                    requireUsual(job.options(), outcome.report());
                }
            }
            progress.stage(Stage.WAIT);
            writer.finish();
            return report(job, reports, carried, progress.times(writer.packingSeconds(), writer.writingSeconds()));
        }
    }

    /** All layers, as other processes make them. */
    static QuantizationReport assemble(
            QuantizationJob job, LayerSupply supply, LayerJournal journal, ProgressListener listener) {
        List<String> carried = UsualError.carried(job.source());
        if (job.options().strict() && !carried.isEmpty()) {
            throw new UnusualErrorException(carried.getFirst());
        }
        List<QuantizationReport.Layer> reports = new ArrayList<>();
        List<LayerJournal.Durable> durable = journal.durable();
        try (Workers workers = new Workers(job.options().threads())) {
            for (LayerJournal.Durable layer : durable) {
                requireUnchanged(layer, SourceDigest.layer(job.source(), layer.layer(), workers));
                requireUsual(job.options(), layer.report());
                reports.add(layer.report());
            }
        }
        int layers = job.source().config().layers();
        long began = System.nanoTime();
        List<@Nullable Double> seconds = new ArrayList<>(Collections.nCopies(durable.size(), null));
        supply.begin(durable.size());
        for (int layer = durable.size(); layer < layers; layer++) {
            listener.layerStarted(layer, layers);
            long start = System.nanoTime();
            FinishedLayer finished = supply.layer(layer);
            journal.append(finished);
            supply.durable(layer);
            reports.add(finished.report());
            seconds.add((System.nanoTime() - start) / 1e9);
            listener.layerFinished(layer, finished.report(), Objects.requireNonNull(seconds.getLast()));
            listener.progressed((layer + 1.0) / layers);
            requireUsual(job.options(), finished.report());
        }
        return report(
                job,
                reports,
                carried,
                new QuantizationReport.Times(
                        (System.nanoTime() - began) / 1e9, new EnumMap<>(Stage.class), seconds, durable.size()));
    }

    /** Tokens that layers see. */
    private static long fitTokens(QuantizationJob job) {
        return job.blocks()
                .map(blocks -> Arrays.stream(blocks.blocks())
                        .limit(job.options().best().fitBlocks())
                        .mapToLong(block -> block.length)
                        .sum())
                .orElse(0L);
    }

    private static LayerWork work(
            QuantizationJob job,
            QuantizationDevices devices,
            LayerJournal journal,
            Workers workers,
            WorkProgress progress) {
        return job.options().method() == Method.BEST
                ? new FittingWork(job, devices, journal, workers, progress)
                : new Calibration(job, devices, journal, workers, progress);
    }

    private static LayerQuantizer.Outcome layer(
            QuantizationJob job,
            int layer,
            SourceLayers source,
            QuantizationDevices devices,
            LayerWork work,
            WorkProgress progress) {
        progress.stage(Stage.READ);
        List<DecoderLayer> weights = source.layer(layer);
        try (LayerSource linears = LayerSource.of(
                job.source(), layer, weights, devices, job.options().spec())) {
            return work.quantize(layer, weights, linears);
        }
    }

    private static List<String> warnings(QuantizeOptions options, QuantizationReport.Layer layer) {
        return UsualError.warnings(layer, options.spec().bits(), options.spec().groupSize());
    }

    private static void requireUsual(QuantizeOptions options, QuantizationReport.Layer layer) {
        List<String> warnings = warnings(options, layer);
        if (options.strict() && !warnings.isEmpty()) {
            throw new UnusualErrorException(warnings.getFirst());
        }
    }

    private static void requireUnchanged(LayerJournal.Durable layer, String found) {
        if (!found.equals(layer.sourceSha256())) {
            throw new ResumeException(List.of("weights of layer " + layer.layer() + ": found sha256 " + found
                    + ", expected " + layer.sourceSha256()));
        }
    }

    /**
     * Refuses, before any work, a model that cannot be quantized so.
     *
     * @param configJson where the config was read, for messages
     * @throws BadCheckpointException if the model is quantized already or a linear's shape does not fit the spec
     */
    public static void requireFits(ModelConfig config, Path configJson, QuantizationSpec spec) {
        config.quantization().ifPresent(found -> {
            throw new BadCheckpointException(
                    configJson,
                    "this checkpoint is quantized already (" + found.method() + ", " + found.bits()
                            + " bits, group size " + found.groupSize() + "); start from the fp16 original");
        });
        Set<List<Integer>> seen = new HashSet<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (StoredLinear linear : config.linears(layer)) {
                if (seen.add(List.of(linear.outFeatures(), linear.inFeatures()))) {
                    requireFits(config, linear, configJson, spec);
                }
            }
        }
    }

    private static void requireFits(ModelConfig config, StoredLinear linear, Path configJson, QuantizationSpec spec) {
        try {
            spec.check(linear.label() + ".weight", linear.outFeatures(), linear.inFeatures());
        } catch (IllegalArgumentException e) {
            boolean divides = linear.inFeatures() % spec.columnsPerGroup(linear.inFeatures()) == 0;
            throw new BadCheckpointException(
                    configJson,
                    divides ? String.valueOf(e.getMessage()) : e.getMessage() + "; " + GroupSizes.advice(config),
                    e);
        }
    }

    private static QuantizationReport report(
            QuantizationJob job,
            List<QuantizationReport.Layer> layers,
            List<String> carried,
            QuantizationReport.Times times) {
        List<String> warnings = new ArrayList<>(carried);
        layers.forEach(layer -> warnings.addAll(warnings(job.options(), layer)));
        return new QuantizationReport(
                job.options().method(),
                job.options().spec().bits(),
                job.options().spec().groupSize(),
                Origin.of(job.source().folder()).known(),
                job.blocks().map(Quantizer::describe).orElse(null),
                mean(layers, QuantizationReport.Linear::relativeError),
                mean(layers, QuantizationReport.Linear::rtnRelativeError),
                layers,
                warnings,
                null,
                times);
    }

    private static QuantizationReport.Calibration describe(TokenBlocks blocks) {
        return new QuantizationReport.Calibration(
                blocks.description(),
                QuantizationJob.tokensSha256(blocks),
                blocks.blocks().length,
                blocks.tokens(),
                blocks.tokensFound());
    }

    private static @Nullable Double mean(
            List<QuantizationReport.Layer> layers, Function<QuantizationReport.Linear, @Nullable Double> error) {
        OptionalDouble mean = layers.stream()
                .flatMap(layer -> layer.linears().stream())
                .map(error)
                .filter(java.util.Objects::nonNull)
                .mapToDouble(value -> value)
                .average();
        return mean.isPresent() ? mean.getAsDouble() : null;
    }
}
