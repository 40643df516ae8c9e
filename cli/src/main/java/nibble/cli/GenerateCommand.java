package nibble.cli;

import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.Callable;
import nibble.convert.Checkpoint;
import nibble.datasets.Tokenizer;
import nibble.engine.Backend;
import nibble.engine.Generator;
import nibble.engine.Llama;
import nibble.engine.NonFiniteLogitException;
import nibble.engine.SamplingOptions;
import nibble.pack.WeightReader;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "generate",
        description = "Continues a text, streaming as it goes.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class GenerateCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "MODEL", description = "Folder of a checkpoint, dense or 4-bit, or a GGUF file.")
    @SuppressWarnings("NullAway.Init")
    private Path model;

    @Option(names = "--prompt", paramLabel = "TEXT", required = true, description = "The text to continue.")
    private String prompt = "";

    @Option(
            names = "--max-new-tokens",
            paramLabel = "N",
            defaultValue = "128",
            description = "Tokens to add at most. Default: ${DEFAULT-VALUE}.")
    private int maxNewTokens = 128;

    @Option(
            names = "--temperature",
            paramLabel = "T",
            defaultValue = "0",
            description = "0 takes the most probable token; above, tokens are drawn. Default: ${DEFAULT-VALUE}.")
    private double temperature;

    @Option(
            names = "--top-p",
            paramLabel = "P",
            defaultValue = "1",
            description = "Draw from the smallest set of tokens of probability P. Default: ${DEFAULT-VALUE}, all.")
    private double topP = 1;

    @Option(
            names = "--top-k",
            paramLabel = "K",
            defaultValue = "0",
            description = "Draw from the K most probable tokens. Default: ${DEFAULT-VALUE}, all.")
    private int topK;

    @Option(
            names = "--repetition-penalty",
            paramLabel = "R",
            defaultValue = "1",
            description = "Above 1 makes tokens already seen less probable. Default: ${DEFAULT-VALUE}.")
    private double repetitionPenalty = 1;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "0",
            description = "Same seed, same text. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Mixin
    private DeviceOptions device = new DeviceOptions();

    GenerateCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        SamplingOptions options;
        try {
            options = new SamplingOptions(temperature, topP, topK, repetitionPenalty, seed);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
        if (maxNewTokens < 1) {
            throw new UsageException("--max-new-tokens " + maxNewTokens + ": at least 1");
        }
        try (Backend backend = device.open(terminal);
                Checkpoint checkpoint = Checkpoint.open(model);
                Tokenizer tokenizer = ModelTokenizer.open(model);
                Llama llama = Llama.load(checkpoint, backend)) {
            int[] ids = promptIds(tokenizer, llama.contextTokens());
            TextStream text = new TextStream(tokenizer, terminal);
            long start = System.nanoTime();
            try {
                Generator.generate(
                        llama, ids, options, maxNewTokens, Set.copyOf(checkpoint.config().eosIds()), text::add);
            } catch (NonFiniteLogitException e) {
                WeightReader.requireFinite(checkpoint);
                throw e;
            }
            terminal.out().println();
            terminal.out().flush();
            double seconds = (System.nanoTime() - start) / 1e9;
            terminal.note(text.tokens() + " tokens in " + Figures.duration(seconds) + ", "
                    + Figures.decimals(text.tokens() / seconds, 1) + " tokens/s");
        }
        return ExitCode.DONE;
    }

    private int[] promptIds(Tokenizer tokenizer, int contextTokens) {
        int[] ids = tokenizer.encode(prompt, true);
        if (ids.length == 0) {
            throw new UsageException("--prompt is empty, and this model's tokenizer has no token to begin a text with");
        }
        if (ids.length >= contextTokens) {
            throw new UsageException("--prompt has " + ids.length + " tokens, the model was made for " + contextTokens
                    + " with what it adds; give a shorter one");
        }
        return ids;
    }
}
