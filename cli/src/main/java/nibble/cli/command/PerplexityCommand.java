package nibble.cli.command;

import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import nibble.checkpoint.Checkpoint;
import nibble.cli.evaluation.TextOptions;
import nibble.cli.option.CacheOption;
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
import nibble.datasets.Tokenizer;
import nibble.engine.LanguageModel;
import nibble.engine.Llama;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.batch.CachedModel;
import nibble.eval.NonFiniteLogProbabilityException;
import nibble.eval.Perplexity;
import nibble.eval.PerplexityResult;
import nibble.pack.WeightReader;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
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

    @Mixin
    private TextOptions text = new TextOptions();

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
        text.check();
        cache.type();
        json.requireWritable();
        Path model = source.folder(terminal);
        PerplexityResult result;
        try (Backend backend = device.open(terminal)) {
            result = measure(
                    terminal,
                    backend,
                    model,
                    cache.type(),
                    text.dataset(),
                    text.context(),
                    text.windows(),
                    "perplexity of " + model);
        }
        json.write(terminal, result);
        if (!json.toStandardOutput()) {
            TextOptions.print(terminal, model, result);
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
                CachedModel cached = new CachedModel(llama, cache);
                Progress progress = new Progress(terminal, title)) {
            CacheOption.require(cache, llama);
            LanguageModel scoring = cache == CacheType.AUTO ? llama : cached;
            if (context > llama.contextTokens()) {
                throw new UsageException("--context " + context + ": the model was made for " + llama.contextTokens()
                        + " tokens at most");
            }
            if (context > scoring.contextTokens()) {
                throw new UsageException("--context " + context + ": with --kv-cache-dtype int8 the model takes "
                        + scoring.contextTokens() + " tokens at most");
            }
            try {
                return Perplexity.gptq(
                        scoring,
                        tokenizer,
                        TextOptions.text(dataset),
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
