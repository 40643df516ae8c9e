package nibble.cli.command;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import nibble.calibrate.CheckpointQuantizer;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.tune.BestDefaults;
import nibble.checkpoint.Checkpoint;
import nibble.cli.option.CalibrationOptions;
import nibble.cli.option.DeviceOptions;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.QuantizationOptions;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.LayerProgress;
import nibble.cli.terminal.ProcessMemory;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.QuantizationSummary;
import nibble.cli.terminal.StopOnSignal;
import nibble.cli.terminal.Terminal;
import nibble.convert.CheckpointPlan;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.files.Reasons;
import nibble.files.output.FreeSpace;
import nibble.files.output.StopSignal;
import nibble.files.output.UnfinishedOutput;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "quantize",
        description = "Quantizes an fp16 checkpoint to 4 or 8 bits. OUT appears complete or not at all. A hidden folder"
                + " beside OUT keeps an unfinished run for --resume.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
public final class QuantizeCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(
            index = "0",
            paramLabel = "MODEL",
            description = "An fp16, bf16 or fp32 checkpoint, or a GGUF file. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Parameters(index = "1", paramLabel = "OUT", description = "Folder to create; it must be empty or absent.")
    @SuppressWarnings("NullAway.Init")
    private Path out;

    @Mixin
    private QuantizationOptions quantization = new QuantizationOptions();

    @Mixin
    private CalibrationOptions calibration = new CalibrationOptions();

    @Mixin
    private DeviceOptions device = new DeviceOptions();

    @Option(
            names = "--resume",
            description =
                    "Resume a run that was stopped, killed or out of disk space, after its last finished layer. The"
                        + " output is bit-identical. All other options and files must be unchanged, except --threads.")
    private boolean resume;

    @Option(
            names = "--strict",
            description =
                    "Treat warnings as errors. Stop at a linear that loses more by rounding than usual, and at once at"
                            + " a --seq-len above the model's context. --resume can use the finished layers.")
    private boolean strict;

    @Mixin
    private JsonOption json = new JsonOption();

    public QuantizeCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        calibration.check();
        quantization.check();
        json.requireWritable();
        // Before a download.
        UnfinishedOutput.require(out, resume);
        Path model = source.folder(terminal);
        QuantizationReport report;
        long peakDeviceBytes;
        try (Checkpoint checkpoint = OpenedModel.open(terminal, model);
                QuantizationDevices devices = device.openForQuantization(terminal, quantization.method())) {
            QuantizationOptions.Asked asked = quantization.options(
                    checkpoint.config(),
                    checkpoint.configFile(),
                    calibration.sequenceLength(quantization.method()),
                    devices.members().getFirst(),
                    device.threads,
                    strict,
                    terminal);
            QuantizeOptions options = asked.options();
            BestDefaults.requireSteps(checkpoint.config(), checkpoint.configFile(), options.steps());
            tuningNote(options);
            checkpoint
                    .config()
                    .architecture()
                    .quantizedNote(options.format(), options.spec().symmetric())
                    .ifPresent(terminal::note);
            options.format()
                    .loaderNote(
                            options.spec().symmetric(),
                            checkpoint.config().experts().isPresent())
                    .ifPresent(terminal::note);
            requireQuantizable(checkpoint, options);
            if (options.method() != Method.RTN) {
                calibration.checkContext(terminal, checkpoint.config(), options.method(), strict);
            }
            Optional<TokenBlocks> blocks = options.method() == Method.RTN
                    ? Optional.empty()
                    : Optional.of(calibration.read(terminal, model, options.method(), asked.samples()));
            try (StopOnSignal stop = new StopOnSignal(terminal)) {
                report = quantize(
                        terminal,
                        devices,
                        new QuantizationJob(checkpoint, blocks, options),
                        out,
                        resume,
                        stop.signal(),
                        "quantizing " + model);
            }
            peakDeviceBytes = devices.members().stream()
                    .mapToLong(Backend::peakDeviceBytes)
                    .max()
                    .orElse(0);
        }
        report.warnings().forEach(warning -> terminal.note("warning: " + warning));
        json.write(terminal, json(report, peakDeviceBytes));
        if (!json.toStandardOutput()) {
            QuantizationSummary.lines(report).forEach(terminal.out()::println);
            terminal.out()
                    .println("written to " + out + "; every linear is in " + QuantizationReport.FILE_NAME + " there");
            terminal.out().flush();
        }
        return ExitCode.DONE;
    }

    /** Says so where codes stay though nobody asked for it: the device has no room for their positions. */
    private void tuningNote(QuantizeOptions options) {
        if (options.steps() > 0 && !options.movesCodes() && !quantization.fixedCodes()) {
            terminal.note("tuning moves scales and norms alone: the device has no room for positions of all codes,"
                    + " 12 bytes a weight");
        }
    }

    /** Before the calibration text is read: what will be refused is refused at once, and by its own fault. */
    private void requireQuantizable(Checkpoint source, QuantizeOptions options) {
        ModelTokenizer.require(source.folder());
        int rows = source.config().vocabularySize();
        source.tokenizer()
                .flatMap(tokenizer -> tokenizer.beyond(rows))
                .ifPresent(beyond -> terminal.note("warning: " + source.folder() + ": " + beyond.words(rows)));
        if (!resume) {
            // The journal asks again, for exactly what an unfinished run still lacks.
            requireSpace(source, options);
        }
    }

    private void requireSpace(Checkpoint source, QuantizeOptions options) {
        long needed = CheckpointPlan.of(source.config(), options.format(), options.spec(), options.maxShardBytes())
                .fileBytes();
        FreeSpace.require(out, needed);
        terminal.note("output: " + Figures.bytes(needed) + ", " + Figures.bytes(FreeSpace.of(out)) + " free there");
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
        try (Checkpoint source = OpenedModel.open(terminal, model)) {
            return quantize(
                    terminal,
                    QuantizationDevices.of(backend),
                    new QuantizationJob(source, blocks, options),
                    out,
                    false,
                    new StopSignal(),
                    title);
        }
    }

    private static QuantizationReport quantize(
            Terminal terminal,
            QuantizationDevices devices,
            QuantizationJob job,
            Path out,
            boolean resume,
            StopSignal stop,
            String title) {
        try (Progress progress = new Progress(terminal, title)) {
            return CheckpointQuantizer.quantize(job, out, resume, devices, new LayerProgress(terminal, progress), stop);
        }
    }

    /** The report with what this run took. */
    private ObjectNode json(QuantizationReport report, long peakDeviceBytes) {
        ObjectNode json = report.toJson();
        json.put("output_bytes", bytes(out));
        json.put("peak_host_bytes", ProcessMemory.peakBytes());
        json.put("peak_device_bytes", peakDeviceBytes);
        return json;
    }

    private static long bytes(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            return files.mapToLong(file -> file.toFile().length()).sum();
        } catch (IOException e) {
            throw new UncheckedIOException(folder + ": cannot be listed: " + Reasons.of(e), e);
        }
    }
}
