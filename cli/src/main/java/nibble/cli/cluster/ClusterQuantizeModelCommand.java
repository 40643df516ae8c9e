package nibble.cli.cluster;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.checkpoint.Checkpoint;
import nibble.cli.option.CalibrationOptions;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.QuantizationOptions;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.LayerProgress;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.QuantizationSummary;
import nibble.cli.terminal.StopOnSignal;
import nibble.cli.terminal.Terminal;
import nibble.cluster.quantize.ClusterLayers;
import nibble.cluster.spark.Cluster;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.files.output.UnfinishedOutput;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "quantize-model",
        description = "Quantizes one model over several hosts, as 'nibble quantize' does on one. An executor runs the"
                + " calibration text through the layers. The others search and round a layer each. Methods awq and rtn,"
                + " on the CPU.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class ClusterQuantizeModelCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(index = "0", paramLabel = "MODEL", description = ExecutorOptions.MODEL)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Parameters(index = "1", paramLabel = "OUT", description = "Folder to create here; it must be empty or absent.")
    @SuppressWarnings("NullAway.Init")
    private Path out;

    @Mixin
    private QuantizationOptions quantization = new QuantizationOptions();

    @Mixin
    private CalibrationOptions calibration = new CalibrationOptions();

    @Mixin
    private SharedOption shared = new SharedOption();

    @Option(names = "--resume", description = "Resume a run that was stopped or killed after its last finished layer.")
    private boolean resume;

    @Option(names = "--strict", description = "Treat warnings as errors, as 'nibble quantize' does.")
    private boolean strict;

    @Mixin
    private ClusterOptions options = new ClusterOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    ClusterQuantizeModelCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        calibration.check();
        quantization.check();
        Method method = quantization.method();
        if (method == Method.BEST) {
            throw new UsageException("--method best: its layers depend on each other; give --method awq or rtn, or a"
                    + " row of 'nibble cluster quantize' to each model");
        }
        options.check(terminal);
        json.requireWritable();
        UnfinishedOutput.require(out, resume);
        Path model = source.folder(terminal).toAbsolutePath().normalize();
        QuantizationReport report;
        try (Checkpoint checkpoint = OpenedModel.open(terminal, model);
                StopOnSignal stop = new StopOnSignal(terminal);
                Cluster cluster = options.open(stop.signal());
                Progress progress = new Progress(terminal, "quantizing " + model)) {
            report = ClusterLayers.quantize(
                    cluster,
                    job(checkpoint, model, method),
                    model.toString(),
                    out,
                    resume,
                    shared.uri(out),
                    new LayerProgress(terminal, progress),
                    stop.signal());
        }
        report.warnings().forEach(warning -> terminal.note("warning: " + warning));
        json.write(terminal, report.toJson());
        if (!json.toStandardOutput()) {
            QuantizationSummary.lines(report).forEach(terminal.out()::println);
            terminal.out().println("written to " + out);
            terminal.out().flush();
        }
        return ExitCode.DONE;
    }

    private QuantizationJob job(Checkpoint checkpoint, Path model, Method method) {
        int length = calibration.sequenceLength(method);
        int threads = Runtime.getRuntime().availableProcessors();
        QuantizationOptions.Asked asked;
        try (Backend backend = Backends.open("cpu", threads)) {
            asked = quantization.options(
                    checkpoint.config(), checkpoint.configFile(), length, backend, threads, strict, terminal);
        }
        if (method == Method.RTN) {
            return new QuantizationJob(checkpoint, Optional.empty(), asked.options());
        }
        calibration.checkContext(terminal, checkpoint.config(), method, strict);
        TokenBlocks blocks = calibration.read(terminal, model, method, asked.samples());
        return new QuantizationJob(checkpoint, Optional.of(blocks), asked.options());
    }
}
