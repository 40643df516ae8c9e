package nibble.cli.cluster;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.cli.evaluation.AskedModel;
import nibble.cli.evaluation.AskedTasks;
import nibble.cli.evaluation.TaskOptions;
import nibble.cli.option.CacheOption;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.ReportOptions;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.StopOnSignal;
import nibble.cli.terminal.TaskTable;
import nibble.cli.terminal.Terminal;
import nibble.cluster.eval.ClusterModel;
import nibble.cluster.spark.Cluster;
import nibble.datasets.Tokenizer;
import nibble.eval.report.Report;
import nibble.eval.tasks.EvaluationJson;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.ResultJournal;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
        name = "tasks",
        description = "Does what 'nibble eval tasks' does, requests shared out to executors. Either resumes the other's"
                + " journal.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class ClusterTasksCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "MODEL", description = ExecutorOptions.MODEL)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Mixin
    private TaskOptions asked = new TaskOptions();

    @Mixin
    private ReportOptions report = new ReportOptions();

    @Mixin
    private ExecutorOptions executors = new ExecutorOptions();

    @Mixin
    private ClusterOptions cluster = new ClusterOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    ClusterTasksCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        asked.requireInputs();
        report.requireInputs();
        EvaluationOptions options = asked.options();
        asked.check(options);
        cluster.check(terminal);
        json.requireWritable();
        asked.requireJournal();
        report.check();
        AskedTasks tasks = asked.tasks(terminal, options);
        Path model = source.folder(terminal);
        tasks.requireChat(model);
        try (StopOnSignal stop = new StopOnSignal(terminal);
                Cluster opened = cluster.open(stop.signal());
                ClusterModel spread = ClusterModel.open(opened, executors.place(model, asked.cache()), 2, _ -> {})) {
            terminal.note("device of executors: " + spread.description());
            try (ResultJournal journal = asked.journal(json, model, "", spread.deviceKind(), tasks)) {
                if (journal.entries() > 0) {
                    terminal.note("resuming after " + journal.entries() + " documents of an earlier run");
                }
                EvaluationResult result = measure(model, spread, tasks, options, journal);
                json.writeText(terminal, EvaluationJson.text(result));
                asked.write(terminal, tasks, result, model);
                Report measured = new Report(result, Optional.empty(), report.figures(), report.layers());
                if (!json.toStandardOutput() && !report.toStandardOutput()) {
                    new TaskTable(result).print(terminal);
                }
                report.write(terminal, measured);
                journal.delete();
            }
        }
        return ExitCode.DONE;
    }

    private EvaluationResult measure(
            Path model, ClusterModel spread, AskedTasks tasks, EvaluationOptions options, ResultJournal journal) {
        TokenizerDescription described = ModelTokenizer.describe(model);
        try (Checkpoint checkpoint = OpenedModel.open(terminal, model);
                Tokenizer tokenizer = ModelTokenizer.open(described);
                Progress progress = new Progress(terminal, "tasks of " + model)) {
            return tasks.measure(
                    new AskedModel(source.text(), model, checkpoint, described, tokenizer)
                            .evaluated(
                                    spread,
                                    CacheOption.described(asked.cache(), spread.description()),
                                    tasks.chat(),
                                    options.bos()),
                    journal,
                    (fraction, done, all) -> progress.at(fraction, done + "/" + all + " documents"));
        }
    }
}
