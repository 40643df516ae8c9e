package nibble.cli.command;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import nibble.calibrate.Quantizer;
import nibble.calibrate.bench.QuantizeBenchmark;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.model.ModelShape;
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
            @Nullable Long peakHostBytes) {}

    @Override
    public Integer call() {
        json.requireWritable();
        ModelShape model = shape.shape();
        // Layers only: random weights have nothing that could be tuned.
        QuantizeOptions options = quantization
                .options(model.config(), device.threads, false, terminal)
                .withoutSteps();
        Quantizer.requireFits(model.config(), Path.of(model.name()), options.spec());
        if (samples < 1 || sequenceLength < 2) {
            throw new UsageException("--samples must be at least 1 and --seq-len at least 2");
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
                    options,
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
                    ProcessMemory.peakBytes());
        }
        json.write(terminal, measured);
        if (!json.toStandardOutput()) {
            print(measured);
        }
        return ExitCode.DONE;
    }

    private void print(Measured measured) {
        QuantizeBenchmark.Result result = measured.result();
        int all = ModelShape.named(measured.shape()).map(ModelShape::layers).orElse(measured.layers());
        var out = terminal.out();
        QuantizationSummary.stages(result.times()).forEach(out::println);
        out.println();
        List<List<String>> rows = List.of(
                List.of("first layer, with the compilation of kernels", Figures.duration(result.firstLayerSeconds())),
                List.of("each further layer", Figures.decimals(result.layerSeconds(), 3) + " s"),
                List.of(
                        "so all " + all + " layers",
                        Figures.duration(result.firstLayerSeconds() + (all - 1) * result.layerSeconds())),
                List.of("most device memory", Figures.bytes(result.peakDeviceBytes())),
                List.of(
                        "most host memory, the weights of all layers in it",
                        measured.peakHostBytes() == null ? "unknown" : Figures.bytes(measured.peakHostBytes())));
        String title = String.format(
                Locale.ROOT, "%s, %d x %d tokens", measured.shape(), measured.samples(), measured.sequenceLength());
        new Table(List.of(title, ""), rows).lines().forEach(out::println);
        out.flush();
    }
}
