package nibble.cli.evaluation;

import java.nio.file.Path;
import nibble.cli.option.InputFile;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Terminal;
import nibble.datasets.TextDataset;
import nibble.eval.PerplexityResult;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Holds the options for the text of a perplexity, and says the result. */
public final class TextOptions {
    private static final String BUNDLED = "wikitext2";

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

    /**
     * Checks the numbers, and that the file is there.
     *
     * @throws UsageException for numbers that no text could give
     */
    public void check() {
        if (!dataset.equals(BUNDLED)) {
            InputFile.require("--dataset", Path.of(dataset));
        }
        if (context < 2 || windows != null && windows < 1) {
            throw new UsageException("--context must be at least 2 and --windows at least 1");
        }
    }

    /** Returns the name or the file that was given. */
    public String dataset() {
        return dataset;
    }

    /** Returns the tokens of a window. */
    public int context() {
        return context;
    }

    /** Returns how many windows are measured; null for all. */
    public @Nullable Integer windows() {
        return windows;
    }

    /** Returns the text of a name, or of a file. */
    public static TextDataset text(String dataset) {
        return dataset.equals(BUNDLED) ? TextDataset.wikitext2Test() : TextDataset.file(Path.of(dataset));
    }

    /** Writes the line of a result. */
    public static void print(Terminal terminal, Path model, PerplexityResult result) {
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
}
