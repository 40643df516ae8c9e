package nibble.cli.command;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import nibble.cli.option.HubOptions;
import nibble.cli.option.InputFile;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelChat;
import nibble.cli.option.ModelDevice;
import nibble.cli.option.OutputFile;
import nibble.cli.option.ReportOptions;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ComparisonTable;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.TaskTable;
import nibble.cli.terminal.Terminal;
import nibble.datasets.evaluation.EvaluationData;
import nibble.engine.backend.Backend;
import nibble.eval.comparison.ModelComparison;
import nibble.eval.harness.HarnessOptions;
import nibble.eval.harness.HarnessTasks;
import nibble.eval.harness.UnknownTaskException;
import nibble.eval.report.Report;
import nibble.eval.tasks.EvaluationJson;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.Preset;
import nibble.eval.tasks.ResultJournal;
import nibble.eval.tasks.Task;
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

    @Option(
            names = "--tasks",
            paramLabel = "TASK,…",
            split = ",",
            required = true,
            description = "The tasks to measure: names of tasks, groups and tags, which may have * and ?.")
    private List<String> tasks = new ArrayList<>();

    @Option(
            names = "--preset",
            paramLabel = "NAME",
            defaultValue = "lm-eval-0.4.13",
            description =
                    "The rules: lm-eval-0.4.13 (tasks from files), lm-eval-0.4.9.1, or leaderboard-v1 (the Open LLM"
                        + " Leaderboard of 2023). leaderboard-v1 gives 25, 10, 5, 0, 5, 5 examples for arc_challenge,"
                        + " hellaswag, mmlu, truthfulqa, winogrande, gsm8k. Default: ${DEFAULT-VALUE}.")
    private String preset = "lm-eval-0.4.13";

    @Option(
            names = "--num-fewshot",
            paramLabel = "K",
            description = "Examples before each question. Default: the preset's.")
    private @Nullable Integer shots;

    @Option(
            names = "--limit",
            paramLabel = "N",
            description =
                    "Measure only the first N documents of each task, in the preset's order; below 1, that share of"
                            + " them.")
    private @Nullable Double limit;

    @Mixin
    private HarnessChoices harness = new HarnessChoices();

    @Option(
            names = "--bos",
            description =
                    "Begin every request with the BOS id. lm-eval-0.4.13 does so if the tokenizer does, the others"
                            + " never.")
    private boolean bos;

    @Option(
            names = "--fewshot-from",
            paramLabel = "train|measured",
            defaultValue = "train",
            description = "The source of few-shot examples if the data set's train part is missing. train: an error."
                    + " measured: the measured documents. Default: ${DEFAULT-VALUE}.")
    private String fewShotFrom = "train";

    @Option(
            names = "--data",
            paramLabel = "DIR",
            description = "Look for documents in DIR first, in files such as hellaswag.validation.jsonl or"
                    + " winogrande.train.parquet.")
    private @Nullable Path data;

    @Option(
            names = "--journal",
            paramLabel = "FILE",
            description =
                    "Keep the results of finished documents in FILE, and resume from an earlier run's results there."
                            + " The file is removed at the end. Default: the file of --json plus .journal.")
    private @Nullable Path journal;

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

    @Option(
            names = "--no-prefix-sharing",
            description = "Compute every request separately, to show the gain of sharing.")
    private boolean alone;

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
        InputFile.requireFolder("--data", data);
        harness.requireInputs();
        report.requireInputs();
        EvaluationOptions options = options();
        List<String> names = tasks.stream().map(String::strip).distinct().toList();
        List<Task> written = options.preset().readsFiles()
                ? List.of()
                : names.stream().map(TasksCommand::task).toList();
        json.requireWritable();
        if (journal != null) {
            OutputFile.require("--journal", journal);
        }
        checkReports();
        EvaluationData documents = new EvaluationData(
                Optional.ofNullable(data),
                Optional.of(HubOptions.settings(terminal, Optional.empty()).cache()));
        AskedTasks asked = options.preset().readsFiles()
                ? new AskedTasks.OfFiles(ofFiles(names, options, documents), options, documents)
                : new AskedTasks.Written(written, options, documents);
        Path model = source.folder(terminal);
        @Nullable Path original = baseline == null ? null : baseline.folder(terminal);
        if (asked.chat().applied()) {
            // A model without a template is told before it is loaded.
            ModelChat.format(model, asked.chat().template(), false);
        }
        try (Backend backend = device.open(terminal);
                ResultJournal kept = journal(model, "", backend, asked);
                ResultJournal keptOfBaseline =
                        original == null ? ResultJournal.none() : journal(original, ".baseline", backend, asked)) {
            TaskRun run = new TaskRun(terminal, backend, asked, options);
            TaskRun.Subject subject = new TaskRun.Subject(source.text(), model, kept);
            if (baseline == null || original == null) {
                EvaluationResult result = run.measure(subject);
                json.writeText(terminal, EvaluationJson.text(result));
                write(asked, result, model);
                print(new Report(result, Optional.empty(), report.figures(), report.layers()));
            } else {
                TaskRun.Subject other = new TaskRun.Subject(baseline.text(), original, keptOfBaseline);
                ModelComparison comparison = run.compare(other, subject, divergenceWindows, temporaryFolder());
                json.writeText(terminal, comparison.toJson());
                write(asked, comparison.baseline(), original);
                write(asked, comparison.model(), model);
                print(new Report(comparison.model(), Optional.of(comparison), report.figures(), report.layers()));
            }
            kept.delete();
            keptOfBaseline.delete();
        }
        return ExitCode.DONE;
    }

    private HarnessTasks ofFiles(List<String> names, EvaluationOptions options, EvaluationData documents) {
        try {
            return new HarnessTasks(names, harness.options(limit()), options, documents);
        } catch (UnknownTaskException e) {
            throw new UsageException("--tasks " + e.getMessage());
        }
    }

    private double limit() {
        return limit == null ? Double.POSITIVE_INFINITY : limit;
    }

    private void write(AskedTasks asked, EvaluationResult result, Path model) {
        if (asked instanceof AskedTasks.OfFiles files) {
            HarnessOptions.Chat chat = files.chat();
            String template = chat.applied()
                    ? ModelChat.format(model, chat.template(), false).source()
                    : null;
            harness.write(terminal, files.tasks(), result, Map.of("pretrained", model.toString()), template);
        }
    }

    private void checkReports() {
        report.check();
        if (report.toStandardOutput() && json.toStandardOutput()) {
            throw new UsageException("--json - and --markdown - cannot both be standard output");
        }
        if (divergenceWindows < 0) {
            throw new UsageException("--divergence-windows " + divergenceWindows + ": at least 0");
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

    private static Task task(String name) {
        return Task.named(name)
                .orElseThrow(() -> new UsageException("--tasks " + name + ": no such task; the nearest are "
                        + String.join(", ", Task.nearest(name))));
    }

    private EvaluationOptions options() {
        Preset rules = Preset.named(preset)
                .orElseThrow(() -> new UsageException("--preset " + preset + ": unknown; known are " + Preset.known()));
        if (limit != null && (limit <= 0 || limit > 1 && limit != Math.rint(limit)) || shots != null && shots < 0) {
            throw new UsageException("--limit must be at least 1, or a share below 1, and --num-fewshot at least 0");
        }
        harness.check(rules, limit());
        if (!fewShotFrom.equals("train") && !fewShotFrom.equals("measured")) {
            throw new UsageException("--fewshot-from " + fewShotFrom + ": train or measured expected");
        }
        return new EvaluationOptions(
                rules,
                shots == null ? OptionalInt.empty() : OptionalInt.of(shots),
                limit == null || limit < 1
                        ? OptionalInt.empty()
                        : OptionalInt.of((int) Math.min(limit, Integer.MAX_VALUE)),
                bos,
                fewShotFrom.equals("measured"),
                !alone);
    }

    private ResultJournal journal(Path model, String suffix, Backend backend, AskedTasks asked) {
        Path file = journal;
        if (file == null) {
            if (json.file == null || json.toStandardOutput()) {
                return ResultJournal.none();
            }
            file = Path.of(json.file + ".journal");
        }
        file = file.resolveSibling(file.getFileName() + suffix);
        return ResultJournal.open(file, asked.job(model, backend.kind().label()));
    }
}
