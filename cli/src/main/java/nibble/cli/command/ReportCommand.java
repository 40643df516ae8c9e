package nibble.cli.command;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.cli.option.InputFile;
import nibble.cli.option.ReportOptions;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Terminal;
import nibble.eval.report.Report;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "report",
        description =
                "Makes HTML and Markdown reports from the JSON of 'nibble eval tasks', alone or beside a baseline.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class ReportCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "RESULT", description = "JSON of 'nibble eval tasks', with or without a baseline.")
    @SuppressWarnings("NullAway.Init")
    private Path result;

    @Option(
            names = "--baseline",
            paramLabel = "RESULT",
            description = "The same JSON for the original model, measured on the same requests.")
    private @Nullable Path baseline;

    @Mixin
    private ReportOptions options = new ReportOptions();

    ReportCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        InputFile.require("", result);
        InputFile.require("--baseline", baseline);
        options.requireInputs();
        if (!options.asked()) {
            throw new UsageException("nothing to write; give --html FILE or --markdown FILE");
        }
        options.check();
        Report read = Report.read(
                result,
                Optional.ofNullable(baseline),
                options.perplexities,
                Optional.ofNullable(options.quantizationReport));
        options.write(terminal, read);
        return ExitCode.DONE;
    }
}
