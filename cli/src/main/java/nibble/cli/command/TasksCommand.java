package nibble.cli.command;

import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.cli.evaluation.AskedTasks;
import nibble.cli.evaluation.TaskOptions;
import nibble.cli.evaluation.TaskRun;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelDevice;
import nibble.cli.option.ReportOptions;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ComparisonTable;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.TaskTable;
import nibble.cli.terminal.Terminal;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.eval.comparison.ModelComparison;
import nibble.eval.report.Report;
import nibble.eval.tasks.EvaluationJson;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.ResultJournal;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "tasks",
        description = "Measures tasks with questions, by the definitions of lm-evaluation-harness:"
                + " arc_challenge, arc_easy, hellaswag, mmlu, truthfulqa, winogrande, piqa, openbookqa, lambada,"
                + " gsm8k, wikitext, and tasks of your own.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class TasksCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(
            paramLabel = "MODEL",
            description = "A checkpoint, dense or quantized, or a GGUF file. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Mixin
    private TaskOptions asked = new TaskOptions();

    @Option(
            names = "--baseline",
            paramLabel = "MODEL",
            description = "Compare with another model, such as the original of a quantized one: differences with paired"
                    + " errors, flipped answers, divergence of the next-token distributions. --json then holds the"
                    + " results of both.")
    private @Nullable ModelArgument baseline;

    @Option(
            names = "--divergence-windows",
            paramLabel = "N",
            defaultValue = "8",
            description = "Windows of 2048 tokens of wikitext-2 for the divergence; 0 skips it. The baseline needs a"
                    + " temporary file of 262 MB a window at a vocabulary of 32,000. Default: ${DEFAULT-VALUE}.")
    private int divergenceWindows = 8;

    @Mixin
    private ReportOptions report = new ReportOptions();

    @Mixin
    private ModelDevice device = new ModelDevice();

    @Mixin
    private JsonOption json = new JsonOption();

    TasksCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        ModelArgument.require(baseline);
        asked.requireInputs();
        report.requireInputs();
        EvaluationOptions options = asked.options();
        asked.check(options);
        json.requireWritable();
        asked.requireJournal();
        checkReports();
        AskedTasks tasks = asked.tasks(terminal, options);
        Path model = source.folder(terminal);
        @Nullable Path original = baseline == null ? null : baseline.folder(terminal);
        tasks.requireChat(model);
        try (Backend backend = device.open(terminal);
                ResultJournal kept =
                        asked.journal(json, model, "", backend.kind().label(), tasks);
                ResultJournal keptOfBaseline = original == null
                        ? ResultJournal.none()
                        : asked.journal(
                                json, original, ".baseline", backend.kind().label(), tasks)) {
            TaskRun run = new TaskRun(terminal, backend, tasks, options, asked.cache());
            TaskRun.Subject subject = new TaskRun.Subject(source.text(), model, kept);
            if (baseline == null || original == null) {
                EvaluationResult result = run.measure(subject);
                json.writeText(terminal, EvaluationJson.text(result));
                asked.write(terminal, tasks, result, model);
                print(new Report(result, Optional.empty(), report.figures(), report.layers()));
            } else {
                TaskRun.Subject other = new TaskRun.Subject(baseline.text(), original, keptOfBaseline);
                ModelComparison comparison = run.compare(other, subject, divergenceWindows, temporaryFolder());
                json.writeText(terminal, comparison.toJson());
                asked.write(terminal, tasks, comparison.baseline(), original);
                asked.write(terminal, tasks, comparison.model(), model);
                print(new Report(comparison.model(), Optional.of(comparison), report.figures(), report.layers()));
            }
            kept.delete();
            keptOfBaseline.delete();
        }
        return ExitCode.DONE;
    }

    private void checkReports() {
        report.check();
        if (report.toStandardOutput() && json.toStandardOutput()) {
            throw new UsageException("--json - and --markdown - cannot both be standard output");
        }
        if (divergenceWindows < 0) {
            throw new UsageException("--divergence-windows " + divergenceWindows + ": at least 0");
        }
        if (baseline != null && divergenceWindows > 0 && asked.cache() != CacheType.AUTO) {
            throw new UsageException("--kv-cache-dtype " + asked.cache().label() + " with --baseline: the divergence is"
                    + " of whole texts, which no KV cache holds; give --divergence-windows 0");
        }
    }

    /** Beside the JSON, where there is room for results; else where the system keeps such files. */
    private Path temporaryFolder() {
        return json.file == null || json.toStandardOutput()
                ? Path.of(System.getProperty("java.io.tmpdir"))
                : Objects.requireNonNull(Path.of(json.file).toAbsolutePath().getParent());
    }

    private void print(Report measured) {
        if (!json.toStandardOutput() && !report.toStandardOutput()) {
            new TaskTable(measured.model()).print(terminal);
            measured.comparison().ifPresent(c -> new ComparisonTable(c).print(terminal));
        }
        report.write(terminal, measured);
    }
}
