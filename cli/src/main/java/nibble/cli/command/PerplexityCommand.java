package nibble.cli.command;

import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import nibble.checkpoint.Checkpoint;
import nibble.cli.option.CacheOption;
import nibble.cli.option.InputFile;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelDevice;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.Terminal;
import nibble.datasets.TextDataset;
import nibble.datasets.Tokenizer;
import nibble.engine.Llama;
import nibble.engine.ScoringModel;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.batch.CachedScoring;
import nibble.eval.NonFiniteLogProbabilityException;
import nibble.eval.Perplexity;
import nibble.eval.PerplexityResult;
import nibble.pack.WeightReader;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "perplexity",
        description =
                "Measures perplexity by the gptq recipe. The text is encoded once with one leading BOS and cut into"
                        + " windows without overlap. The result is exp of the windows' mean cross entropy.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class PerplexityCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(
            paramLabel = "MODEL",
            description = "A checkpoint, dense or quantized, or a GGUF file. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Option(
            names = "--dataset",
            paramLabel = "wikitext2|FILE",
            defaultValue = "wikitext2",
            description = "The bundled wikitext-2 raw test part, or a text file. Default: ${DEFAULT-VALUE}.")
    private String dataset = "wikitext2";

    @Option(
            names = "--context",
            paramLabel = "N",
            defaultValue = "2048",
            description = "Tokens of a window. Default: ${DEFAULT-VALUE}.")
    private int context = 2048;

    @Option(names = "--windows", paramLabel = "N", description = "Only the first N windows. Default: all.")
    private @Nullable Integer windows;

    @Mixin
    private CacheOption cache = new CacheOption();

    @Mixin
    private ModelDevice device = new ModelDevice();

    @Mixin
    private JsonOption json = new JsonOption();

    PerplexityCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        if (!dataset.equals("wikitext2")) {
            InputFile.require("--dataset", Path.of(dataset));
        }
        if (context < 2 || windows != null && windows < 1) {
            throw new UsageException("--context must be at least 2 and --windows at least 1");
        }
        cache.type();
        json.requireWritable();
        Path model = source.folder(terminal);
        PerplexityResult result;
        try (Backend backend = device.open(terminal)) {
            result = measure(
                    terminal, backend, model, cache.type(), dataset, context, windows, "perplexity of " + model);
        }
        json.write(terminal, result);
        if (!json.toStandardOutput()) {
            terminal.out()
                    .printf(
                            "%s: perplexity %s (%s, %d windows of %d tokens, recipe %s)%n",
                            model,
                            Figures.decimals(result.perplexity(), 4),
                            result.dataset(),
                            result.windows(),
                            result.contextTokens(),
                            result.recipe());
            terminal.out().flush();
        }
        return ExitCode.DONE;
    }

    /** Loads {@code model} and measures it, showing progress under {@code title}. */
    static PerplexityResult measure(
            Terminal terminal,
            Backend backend,
            Path model,
            CacheType cache,
            String dataset,
            int context,
            @Nullable Integer windows,
            String title) {
        try (Checkpoint checkpoint = OpenedModel.open(terminal, model);
                Tokenizer tokenizer = ModelTokenizer.open(model);
                Llama llama = Llama.load(checkpoint, backend);
                Progress progress = new Progress(terminal, title)) {
            CacheOption.require(cache, llama);
            ScoringModel scoring = cache == CacheType.AUTO ? llama : new CachedScoring(llama, cache);
            if (context > llama.contextTokens()) {
                throw new UsageException("--context " + context + ": the model was made for " + llama.contextTokens()
                        + " tokens at most");
            }
            if (context > scoring.contextTokens()) {
                throw new UsageException("--context " + context + ": with --kv-cache-dtype int8 the model takes "
                        + scoring.contextTokens() + " tokens at most");
            }
            TextDataset text =
                    dataset.equals("wikitext2") ? TextDataset.wikitext2Test() : TextDataset.file(Path.of(dataset));
            try {
                return Perplexity.gptq(
                        scoring,
                        tokenizer,
                        text,
                        context,
                        windows == null ? OptionalInt.empty() : OptionalInt.of(windows),
                        (done, total, perplexity) -> progress.at(
                                (double) done / total, "perplexity so far " + Figures.decimals(perplexity, 3)));
            } catch (NonFiniteLogProbabilityException e) {
                WeightReader.requireFinite(checkpoint);
                throw e;
            }
        }
    }
}
