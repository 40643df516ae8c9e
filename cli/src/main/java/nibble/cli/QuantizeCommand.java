package nibble.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.calibrate.CheckpointQuantizer;
import nibble.calibrate.Method;
import nibble.calibrate.QuantizationReport;
import nibble.calibrate.QuantizeOptions;
import nibble.calibrate.Quantizer;
import nibble.convert.Checkpoint;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backend;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
        name = "quantize",
        description = "Turns an fp16 checkpoint into a 4-bit one. OUT appears whole or not at all.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class QuantizeCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(index = "0", paramLabel = "MODEL", description = "Folder of an fp16, bf16 or fp32 Llama checkpoint, or a GGUF file.")
    @SuppressWarnings("NullAway.Init")
    private Path model;

    @Parameters(index = "1", paramLabel = "OUT", description = "Folder to make; must not exist or be empty.")
    @SuppressWarnings("NullAway.Init")
    private Path out;

    @Mixin
    private QuantizationOptions quantization = new QuantizationOptions();

    @Mixin
    private CalibrationOptions calibration = new CalibrationOptions();

    @Mixin
    private DeviceOptions device = new DeviceOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    QuantizeCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        QuantizeOptions options = quantization.options(device.threads);
        json.requireWritable();
        QuantizationReport report;
        try (Backend backend = device.open(terminal)) {
            requireQuantizable(options);
            Optional<TokenBlocks> blocks =
                    options.method() == Method.RTN ? Optional.empty() : Optional.of(calibration.read(model));
            report = quantize(terminal, backend, model, out, options, blocks, "quantizing " + model);
        }
        json.write(terminal, report);
        if (!json.toStandardOutput()) {
            print(report);
        }
        return ExitCode.DONE;
    }

    /** Before the calibration text is read: a model that will be refused is refused at once, and by its own fault. */
    private void requireQuantizable(QuantizeOptions options) {
        try (Checkpoint source = Checkpoint.open(model)) {
            Quantizer.requireFits(source.config(), model.resolve("config.json"), options.spec());
        }
        ModelTokenizer.require(model);
    }

    /** Quantizes {@code model} into {@code out}, showing progress under {@code title}. */
    static QuantizationReport quantize(
            Terminal terminal,
            Backend backend,
            Path model,
            Path out,
            QuantizeOptions options,
            Optional<TokenBlocks> blocks,
            String title) {
        try (Checkpoint source = Checkpoint.open(model);
                Progress progress = new Progress(terminal, title)) {
            return CheckpointQuantizer.quantize(source, out, blocks, options, backend, new LayerProgress(progress));
        }
    }

    private void print(QuantizationReport report) {
        List<List<String>> rows = new ArrayList<>();
        for (QuantizationReport.Layer layer : report.layers()) {
            for (QuantizationReport.Linear linear : layer.linears()) {
                rows.add(List.of(linear.name(), percent(linear.relativeError()), percent(linear.rtnRelativeError())));
            }
        }
        if (report.meanRelativeError() != null) {
            rows.add(List.of("mean", percent(report.meanRelativeError()), percent(report.meanRtnRelativeError())));
            new Table(List.of("linear", "output error", "plain rounding's"), rows)
                    .lines()
                    .forEach(terminal.out()::println);
        }
        terminal.out().println("written to " + out + "; the report is " + CheckpointQuantizer.REPORT + " there");
        terminal.out().flush();
    }

    private static String percent(@Nullable Double share) {
        return share == null ? "" : Figures.decimals(100 * share, 3) + " %";
    }
}
