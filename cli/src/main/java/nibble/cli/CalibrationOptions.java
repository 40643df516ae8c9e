package nibble.cli;

import java.nio.file.Path;
import nibble.convert.LlamaConfig;
import nibble.datasets.CalibrationText;
import nibble.datasets.TokenBlocks;
import nibble.datasets.Tokenizer;
import picocli.CommandLine.Option;

/** What the model reads while its activations are measured. */
final class CalibrationOptions {
    @Option(
            names = "--calibration",
            paramLabel = "wikitext2|FILE",
            defaultValue = "wikitext2",
            description =
                    "The bundled wikitext-2 (train, then validation; never test), a text file, or a JSONL file with a"
                            + " \"text\" field. Default: ${DEFAULT-VALUE}.")
    private String calibration = "wikitext2";

    @Option(
            names = "--samples",
            paramLabel = "N",
            defaultValue = "128",
            description = "Blocks of --seq-len tokens to read. Default: ${DEFAULT-VALUE}.")
    int samples = 128;

    @Option(
            names = "--seq-len",
            paramLabel = "N",
            defaultValue = "4096",
            description = "Tokens of a block. Default: ${DEFAULT-VALUE}.")
    int sequenceLength = 4096;

    TokenBlocks read(Path model) {
        return read(model, calibration, samples, sequenceLength);
    }

    /**
     * Says so where blocks are longer than what the model was made for.
     *
     * @param strict whether that is an error
     */
    void check(Terminal terminal, LlamaConfig config, boolean strict) {
        check(terminal, config, sequenceLength, strict);
    }

    static void check(Terminal terminal, LlamaConfig config, int sequenceLength, boolean strict) {
        if (sequenceLength <= config.maxPositions()) {
            return;
        }
        String message = "--seq-len " + sequenceLength + ": the model was made for " + config.maxPositions()
                + " tokens at most; what it computes beyond them is not what it was trained to";
        if (strict) {
            throw new UsageException(message + ". Give --seq-len " + config.maxPositions() + " or less");
        }
        terminal.note("warning: " + message);
    }

    static TokenBlocks read(Path model, String calibration, int samples, int sequenceLength) {
        if (samples < 1 || sequenceLength < 2) {
            throw new UsageException("--samples must be at least 1 and --seq-len at least 2");
        }
        CalibrationText text = calibration.equals("wikitext2")
                ? CalibrationText.wikitext2()
                : CalibrationText.file(Path.of(calibration));
        try (Tokenizer tokenizer = ModelTokenizer.open(model)) {
            return TokenBlocks.cut(tokenizer, text, samples, sequenceLength);
        }
    }
}
