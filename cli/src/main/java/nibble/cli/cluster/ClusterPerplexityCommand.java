package nibble.cli.cluster;

import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import nibble.cli.evaluation.TextOptions;
import nibble.cli.option.CacheOption;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.StopOnSignal;
import nibble.cli.terminal.Terminal;
import nibble.cluster.eval.ClusterModel;
import nibble.cluster.spark.Cluster;
import nibble.datasets.Tokenizer;
import nibble.eval.Perplexity;
import nibble.eval.PerplexityResult;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
        name = "perplexity",
        description = "Does what 'nibble eval perplexity' does, windows shared out to executors.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class ClusterPerplexityCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "MODEL", description = ExecutorOptions.MODEL)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Mixin
    private TextOptions text = new TextOptions();

    @Mixin
    private CacheOption cache = new CacheOption();

    @Mixin
    private ExecutorOptions executors = new ExecutorOptions();

    @Mixin
    private ClusterOptions options = new ClusterOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    ClusterPerplexityCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        text.check();
        cache.type();
        options.check(terminal);
        json.requireWritable();
        Path model = source.folder(terminal);
        PerplexityResult result;
        try (StopOnSignal stop = new StopOnSignal(terminal);
                Cluster cluster = options.open(stop.signal());
                Tokenizer tokenizer = ModelTokenizer.open(model);
                Progress progress = new Progress(terminal, "perplexity of " + model);
                ClusterModel spread = ClusterModel.open(
                        cluster, executors.place(model, cache.type()), text.context(), done -> progress.at(done, ""))) {
            terminal.note("device of executors: " + spread.description());
            ExecutorOptions.requireContext(text.context(), spread.contextTokens());
            Integer windows = text.windows();
            result = Perplexity.gptq(
                    spread,
                    tokenizer,
                    TextOptions.text(text.dataset()),
                    text.context(),
                    windows == null ? OptionalInt.empty() : OptionalInt.of(windows),
                    (_, _, _) -> {});
        }
        json.write(terminal, result);
        if (!json.toStandardOutput()) {
            TextOptions.print(terminal, model, result);
        }
        return ExitCode.DONE;
    }
}
