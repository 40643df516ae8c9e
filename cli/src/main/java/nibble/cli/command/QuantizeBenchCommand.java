package nibble.cli.command;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import nibble.calibrate.bench.QuantizeBenchmark;
import nibble.calibrate.bench.TuningBenchmark;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.inspect.ModelShape;
import nibble.cli.option.DeviceOptions;
import nibble.cli.option.JsonOption;
import nibble.cli.option.QuantizationOptions;
import nibble.cli.option.ShapeOptions;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.LayerProgress;
import nibble.cli.terminal.ProcessMemory;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.QuantizationSummary;
import nibble.cli.terminal.StopOnSignal;
import nibble.cli.terminal.Table;
import nibble.cli.terminal.Terminal;
import nibble.engine.backend.QuantizationDevices;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "quantize",
        description = "Times the quantizer on random weights in memory, without reading and writing files.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class QuantizeBenchCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Mixin
    private ShapeOptions shape = new ShapeOptions();

    @Option(
            names = "--samples",
            paramLabel = "N",
            defaultValue = "128",
            description = "Blocks of --seq-len random tokens. Default: ${DEFAULT-VALUE}.")
    private int samples = 128;

    @Option(
            names = "--seq-len",
            paramLabel = "N",
            defaultValue = "4096",
            description = "Tokens of a block. Default: ${DEFAULT-VALUE}.")
    private int sequenceLength = 4096;

    @Option(
            names = "--tuning-layers",
            paramLabel = "N",
            description =
                    "Layers of the model whose steps of tuning are timed; they need no fp16 weights. Default: those"
                            + " of --layers.")
    private @Nullable Integer tuningLayers;

    @Mixin
    private QuantizationOptions quantization = new QuantizationOptions();

    @Mixin
    private DeviceOptions device = new DeviceOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    QuantizeBenchCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    record Measured(
            String shape,
            int layers,
            int samples,
            int sequenceLength,
            String device,
            QuantizeBenchmark.Result result,
            TuningBenchmark.@Nullable Result tuning,
            @Nullable Long peakHostBytes) {
        Measured with(TuningBenchmark.Result steps) {
            return new Measured(
                    shape, layers, samples, sequenceLength, device, result, steps, ProcessMemory.peakBytes());
        }
    }

    @Override
    public Integer call() {
        json.requireWritable();
        ModelShape model = shape.shape();
        QuantizeOptions options = options(model);
        if (samples < 1 || sequenceLength < 2) {
            throw new UsageException("--samples must be at least 1 and --seq-len at least 2");
        }
        if (tuningLayers != null && (tuningLayers < 1 || options.steps() == 0)) {
            throw new UsageException("--tuning-layers " + tuningLayers + ": "
                    + (tuningLayers < 1 ? "1 or more" : "this run has no steps of tuning"));
        }
        Measured measured;
        try (StopOnSignal stop = new StopOnSignal(terminal);
                QuantizationDevices devices = device.openForQuantization(terminal, options.method());
                Progress progress = new Progress(terminal, "quantizing random weights")) {
            QuantizeBenchmark.Result result = QuantizeBenchmark.run(
                    model.config(),
                    shape.seed,
                    samples,
                    sequenceLength,
                    options.withoutSteps(),
                    devices,
                    new LayerProgress(terminal, progress),
                    stop.signal());
            measured = new Measured(
                    model.name(),
                    model.layers(),
                    samples,
                    sequenceLength,
                    devices.members().getFirst().description(),
                    result,
                    null,
                    ProcessMemory.peakBytes());
        }
        if (options.steps() > 0) {
            measured = measured.with(tuning(model, options));
        }
        json.write(terminal, measured);
        if (!json.toStandardOutput()) {
            print(measured);
        }
        return ExitCode.DONE;
    }

    /** The options, with the tuning that the whole model would have, of which some layers are timed. */
    private QuantizeOptions options(ModelShape model) {
        ModelShape whole = ModelShape.named(model.name()).orElse(model);
        try (QuantizationDevices devices = device.openForQuantization(terminal, quantization.method())) {
            return quantization
                    .options(
                            whole.config(),
                            Path.of(model.name()),
                            sequenceLength,
                            devices.members().getFirst(),
                            device.threads,
                            false,
                            terminal)
                    .options();
        }
    }

    /** Times steps on a device that holds nothing else, and so has a peak of its own. */
    private TuningBenchmark.Result tuning(ModelShape model, QuantizeOptions options) {
        ModelShape tuned = tuningLayers == null ? model : model.withLayers(tuningLayers);
        try (QuantizationDevices devices = device.openForQuantization(terminal, options.method())) {
            return TuningBenchmark.run(tuned.config(), shape.seed, samples, sequenceLength, options, devices);
        }
    }

    private void print(Measured measured) {
        QuantizeBenchmark.Result result = measured.result();
        int all = ModelShape.named(measured.shape()).map(ModelShape::layers).orElse(measured.layers());
        var out = terminal.out();
        QuantizationSummary.stages(result.times()).forEach(out::println);
        out.println();
        List<List<String>> rows = new ArrayList<>(List.of(
                List.of("first layer, with the compilation of kernels", Figures.duration(result.firstLayerSeconds())),
                List.of("each further layer", Figures.decimals(result.layerSeconds(), 3) + " s"),
                List.of(
                        "so all " + all + " layers",
                        Figures.duration(result.firstLayerSeconds() + (all - 1) * result.layerSeconds())),
                List.of("most device memory", Figures.bytes(result.peakDeviceBytes())),
                List.of(
                        "most host memory, the weights of all layers in it",
                        measured.peakHostBytes() == null ? "unknown" : Figures.bytes(measured.peakHostBytes()))));
        TuningBenchmark.Result tuning = measured.tuning();
        if (tuning != null) {
            rows.add(List.of(
                    "a step of tuning, " + tuning.layers() + " layers",
                    Figures.decimals(tuning.stepSeconds(), 3) + " s"));
            rows.add(List.of("the original model and judging, from one layer", Figures.duration(tuning.passSeconds())));
            rows.add(List.of("so " + tuning.steps() + " steps", Figures.duration(tuning.seconds())));
            rows.add(List.of("most device memory, tuning", Figures.bytes(tuning.peakDeviceBytes())));
            rows.add(List.of(
                    "codes that stay on the device", tuning.room().codes() + " of " + tuning.layers() + " layers"));
        }
        String title = String.format(
                Locale.ROOT, "%s, %d x %d tokens", measured.shape(), measured.samples(), measured.sequenceLength());
        new Table(List.of(title, ""), rows).lines().forEach(out::println);
        out.flush();
    }
}
