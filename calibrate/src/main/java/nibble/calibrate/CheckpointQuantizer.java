package nibble.calibrate;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.journal.LayerPacker;
import nibble.calibrate.search.QuantizedLayer;
import nibble.calibrate.search.RouterWeights;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.convert.CheckpointWriter;
import nibble.convert.ResumableRun;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.files.output.OutputException;
import nibble.files.output.ResumeException;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.files.output.UnfinishedOutput;
import nibble.pack.layout.Layout;
import nibble.pack.layout.PackedTensor;

/** Quantizes a checkpoint into a checkpoint on disk. */
public final class CheckpointQuantizer {

    private CheckpointQuantizer() {}

    /**
     * Quantizes from the beginning, as
     * {@link #quantize(QuantizationJob, Path, boolean, QuantizationDevices, ProgressListener, StopSignal)} does without
     * resume.
     */
    public static QuantizationReport quantize(
            Checkpoint source,
            Path out,
            Optional<TokenBlocks> blocks,
            QuantizeOptions options,
            Backend backend,
            ProgressListener listener) {
        return quantize(
                new QuantizationJob(source, blocks, options),
                out,
                false,
                QuantizationDevices.of(backend),
                listener,
                new StopSignal());
    }

    /**
     * Quantizes a checkpoint into the folder {@code out}, which appears whole or not at all. Each finished layer is
     * durable in a hidden folder beside it ({@link UnfinishedOutput}); a later call with {@code resume} continues after
     * the last one and ends in the same bytes.
     *
     * <p>Nothing is left behind of a run that failed before its first layer was durable, or for bad input.
     *
     * @param out must not exist yet, or be empty
     * @param devices not closed
     * @param resume whether to go on with an unfinished run; without one, this begins from the beginning
     * @throws BadCheckpointException if the source is quantized already, a shape does not fit the spec, or a weight is
     *     not finite
     * @throws OutputException if the folder is occupied or in use, an unfinished run is there and {@code resume} is
     *     false, or the disk is full or refuses
     * @throws ResumeException if something that decides the bytes has changed since the unfinished run
     * @throws StoppedException if {@code stop} was raised
     */
    public static QuantizationReport quantize(
            QuantizationJob job,
            Path out,
            boolean resume,
            QuantizationDevices devices,
            ProgressListener listener,
            StopSignal stop) {
        Quantizer.requireFits(
                job.source().config(), job.source().configFile(), job.options().spec());
        String arithmetic = devices.members().getFirst().arithmetic();
        return ResumableRun.run(
                out,
                resume,
                listener::note,
                new QuantizationRun(job, out, resume, arithmetic, listener, (plan, journal, output) -> {
                    TuningWork.requireRoom(job, devices);
                    WorkProgress progress = Quantizer.progress(job, devices, listener, stop);
                    QuantizationReport report = Quantizer.run(
                            job, devices, packer(job.source().config(), job.options()), journal, progress);
                    journal.finishFiles();
                    return job.options().steps() > 0
                            ? new TuningWork(job, plan, journal, output, devices, progress).run(report)
                            : report;
                }));
    }

    /**
     * Does what {@link #quantize(QuantizationJob, Path, boolean, QuantizationDevices, ProgressListener, StopSignal)}
     * does, of layers that other processes make; the output is the same to the last bit.
     *
     * @param arithmetic of the devices that make the layers
     * @param supply not closed
     */
    public static QuantizationReport assemble(
            QuantizationJob job,
            Path out,
            boolean resume,
            String arithmetic,
            LayerSupply supply,
            ProgressListener listener) {
        Quantizer.requireFits(
                job.source().config(), job.source().configFile(), job.options().spec());
        return ResumableRun.run(
                out,
                resume,
                listener::note,
                new QuantizationRun(job, out, resume, arithmetic, listener, (_, journal, _) -> {
                    QuantizationReport report = Quantizer.assemble(job, supply, journal, listener);
                    journal.finishFiles();
                    return report;
                }));
    }

    /** Returns all tensors of a layer, linears in the layout of the options. */
    public static LayerPacker packer(ModelConfig config, QuantizeOptions options) {
        return (layer, quantized) -> pack(config, options, layer, quantized);
    }

    private static List<PackedTensor> pack(
            ModelConfig config, QuantizeOptions options, int layer, QuantizedLayer quantized) {
        Layout layout = Layout.of(options.format());
        List<PackedTensor> tensors = new ArrayList<>();
        config.norm(LayerNorm.ATTENTION_IN, layer)
                .ifPresent(name -> tensors.add(CheckpointWriter.pack(name, quantized.inputNorm())));
        config.norm(LayerNorm.MLP_IN, layer)
                .ifPresent(name -> tensors.add(CheckpointWriter.pack(name, quantized.postAttentionNorm())));
        quantized
                .innerNorms()
                .forEach((norm, gain) ->
                        config.norm(norm, layer).ifPresent(name -> tensors.add(CheckpointWriter.pack(name, gain))));
        quantized
                .vectors()
                .forEach((kind, values) -> config.vector(kind, layer)
                        .ifPresent(spec -> tensors.add(CheckpointWriter.pack(spec.name(), values))));
        for (LinearModule module : config.modules(layer)) {
            tensors.addAll(layout.pack(
                    module.name(layer), quantized.module(module), options.spec().symmetric()));
        }
        quantized
                .biases()
                .forEach((linear, bias) -> config.bias(linear, layer)
                        .ifPresent(spec -> tensors.add(CheckpointWriter.pack(spec.name(), bias))));
        config.experts(layer).ifPresent(experts -> {
            RouterWeights router = quantized.router().orElseThrow();
            tensors.add(CheckpointWriter.pack(experts.router(layer), router.router()));
            if (experts.shared().gated()) {
                tensors.add(CheckpointWriter.pack(experts.sharedGate(layer), router.sharedGate()));
            }
        });
        if (config.architecture().headNorm().isStored()) {
            tensors.add(CheckpointWriter.pack(TensorNames.queryNorm(layer), quantized.queryNorm()));
            tensors.add(CheckpointWriter.pack(TensorNames.keyNorm(layer), quantized.keyNorm()));
        }
        return tensors;
    }
}
