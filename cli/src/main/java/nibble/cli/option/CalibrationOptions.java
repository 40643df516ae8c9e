package nibble.cli.option;

import java.nio.file.Path;
import nibble.calibrate.job.Method;
import nibble.checkpoint.model.ModelConfig;
import nibble.cli.terminal.Terminal;
import nibble.datasets.CalibrationText;
import nibble.datasets.TokenBlocks;
import nibble.datasets.Tokenizer;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Holds the options for the text that the model reads while its activations are measured. */
public final class CalibrationOptions {
    /** Blocks that are read where no number was asked for and the text gives so many. */
    static final int MOST_SAMPLES = 128;

    @Option(
            names = "--calibration",
            paramLabel = "wikitext2|FILE",
            defaultValue = "wikitext2",
            description =
                    "The bundled wikitext-2 (train, then validation, never test), a text file, or a JSONL file with a"
                            + " \"text\" field. Default: ${DEFAULT-VALUE}.")
    private String calibration = "wikitext2";

    @Option(
            names = "--samples",
            paramLabel = "N",
            description =
                    "Blocks of --seq-len tokens to read; an error if the text has fewer. Default: all blocks of the"
                            + " text, at most " + MOST_SAMPLES
                            + "; with --method best at most 256, or fewer for large models.")
    private @Nullable Integer samples;

    private static final int LENGTH = 4096;
    private static final int LENGTH_OF_BEST = 2048;

    @Option(
            names = "--seq-len",
            paramLabel = "N",
            description = "Tokens of a block. Default: " + LENGTH + ", or " + LENGTH_OF_BEST + " with --method best.")
    private @Nullable Integer sequenceLength;

    /** Returns the tokens of a block. */
    public int sequenceLength(Method method) {
        return sequenceLength == null ? method == Method.BEST ? LENGTH_OF_BEST : LENGTH : sequenceLength;
    }

    /**
     * Returns how many blocks are read at most.
     *
     * @param usual where no number was asked for
     */
    public int samples(int usual) {
        return samples == null ? usual : samples;
    }

    /**
     * Says so where blocks are longer than what the model was made for.
     *
     * @param strict whether that is an error
     */
    public void checkContext(Terminal terminal, ModelConfig config, Method method, boolean strict) {
        checkContext(terminal, config, sequenceLength(method), strict);
    }

    public static void checkContext(Terminal terminal, ModelConfig config, int sequenceLength, boolean strict) {
        if (sequenceLength <= config.maxPositions()) {
            return;
        }
        String message = "--seq-len " + sequenceLength + ": the model was made for " + config.maxPositions()
                + " tokens at most; its results beyond them are unreliable";
        if (strict) {
            throw new UsageException(message + ". Give --seq-len " + config.maxPositions() + " or less");
        }
        terminal.note("warning: " + message);
    }

    /**
     * Returns the blocks, and a word where they are fewer than usual.
     *
     * @param usual blocks where no number was asked for and the text gives so many
     */
    public TokenBlocks read(Terminal terminal, Path model, Method method, int usual) {
        return read(terminal, model, calibration, samples, usual, sequenceLength(method));
    }

    /**
     * Checks the numbers.
     *
     * @throws UsageException for numbers that no text could give
     */
    public void check() {
        check(calibration, samples, sequenceLength == null ? LENGTH : sequenceLength);
    }

    public static void check(String calibration, @Nullable Integer samples, int sequenceLength) {
        requireInput(calibration);
        if (samples != null && samples < 1 || sequenceLength < 2) {
            throw new UsageException("--samples must be at least 1 and --seq-len at least 2");
        }
    }

    /** @throws InputException if this is a file and not there */
    static void requireInput(@Nullable String calibration) {
        if (calibration != null && !calibration.equals("wikitext2")) {
            InputFile.require("--calibration", Path.of(calibration));
        }
    }

    /**
     * @param samples blocks that there must be; null for as many as there are, up to {@code usual}
     */
    static TokenBlocks read(
            Terminal terminal,
            Path model,
            String calibration,
            @Nullable Integer samples,
            int usual,
            int sequenceLength) {
        check(calibration, samples, sequenceLength);
        CalibrationText text = calibration.equals("wikitext2")
                ? CalibrationText.wikitext2()
                : CalibrationText.file(Path.of(calibration));
        try (Tokenizer tokenizer = ModelTokenizer.open(model)) {
            if (samples != null) {
                return TokenBlocks.cut(tokenizer, text, samples, sequenceLength);
            }
            TokenBlocks blocks = TokenBlocks.cutUpTo(tokenizer, text, usual, sequenceLength);
            int found = blocks.blocks().length;
            if (found < usual) {
                terminal.note("calibration: " + found + (found == 1 ? " block of " : " blocks of ") + sequenceLength
                        + " tokens, all that " + text.description() + " gives; the usual number is " + usual);
            }
            return blocks;
        }
    }
}
