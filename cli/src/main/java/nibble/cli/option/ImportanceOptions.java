package nibble.cli.option;

import java.nio.file.Path;
import java.util.Optional;
import nibble.calibrate.ImportanceMeasurement;
import nibble.checkpoint.Checkpoint;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.Terminal;
import nibble.convert.blocks.Importance;
import nibble.convert.blocks.ImportanceFile;
import nibble.convert.gguf.GgufMix;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.Backend;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Holds the options for how columns of weights are weighed while GGUF's block scales are searched. */
public final class ImportanceOptions {
    @Option(
            names = "--calibration",
            paramLabel = "wikitext2|FILE",
            description =
                    "For gguf: weight the columns of linears by their activations on this text. The bundled wikitext-2"
                        + " (train, then validation, never test), a text file, or a JSONL file with a \"text\" field."
                        + " Default: equal weights.")
    private @Nullable String calibration;

    @Option(
            names = "--samples",
            paramLabel = "N",
            description = "Blocks of --seq-len tokens of --calibration to read; an error if the text has fewer."
                    + " Default: all blocks of the text, at most " + CalibrationOptions.MOST_SAMPLES + ".")
    private @Nullable Integer samples;

    @Option(
            names = "--seq-len",
            paramLabel = "N",
            defaultValue = "512",
            description = "Tokens of a block of --calibration. Default: ${DEFAULT-VALUE}.")
    private int sequenceLength = 512;

    @Option(
            names = "--importance",
            paramLabel = "FILE",
            description =
                    "For gguf: weight the columns by this importance matrix of llama.cpp (GGUF, or the older .dat)"
                            + " instead.")
    private @Nullable Path importance;

    @Option(
            names = "--save-importance",
            paramLabel = "FILE",
            description =
                    "Write the measurements of --calibration as an importance matrix (GGUF), which --importance and"
                            + " llama.cpp read.")
    private @Nullable Path save;

    @Mixin
    private DeviceOptions device = new DeviceOptions();

    public int threads() {
        return device.threads;
    }

    /**
     * Checks that the files to read are there.
     *
     * @throws InputException if a file to read is not there
     */
    public void requireInputs() {
        InputFile.require("--importance", importance);
        CalibrationOptions.requireInput(calibration);
    }

    /**
     * Returns the file of the importance; none where none is asked for.
     *
     * @throws UsageException if it is to be measured first
     */
    public Optional<Path> file() {
        if (calibration != null) {
            throw new UsageException(
                    "--calibration " + calibration + ": executors read an importance from a file; write"
                            + " it with 'nibble convert --save-importance FILE' first and give --importance FILE");
        }
        return Optional.ofNullable(importance);
    }

    /** Refuses options that contradict one another or would do nothing. */
    public void check(Optional<GgufMix> mix) {
        @Nullable
        String given = calibration != null
                ? "--calibration " + calibration
                : importance != null ? "--importance " + importance : null;
        if (given != null && mix.isEmpty()) {
            throw new UsageException(given + ": only --format gguf searches scales");
        }
        if (given != null && !mix.get().searchesScales()) {
            throw new UsageException(given + ": --type " + mix.get() + " has no scales to search; leave it out");
        }
        if (calibration != null && importance != null) {
            throw new UsageException("--calibration and --importance: give one of them");
        }
        if (save != null && calibration == null) {
            throw new UsageException("--save-importance: give --calibration too, nothing is measured without it");
        }
        if (calibration != null) {
            CalibrationOptions.check(calibration, samples, sequenceLength);
        }
        if (save != null) {
            OutputFile.require("--save-importance", save);
        }
    }

    /** Returns the importance that the options ask for: read, or measured and perhaps saved. */
    public Optional<Importance> importance(Terminal terminal, Path model, Checkpoint source) {
        if (importance != null) {
            return Optional.of(ImportanceFile.read(importance));
        }
        if (calibration == null) {
            return Optional.empty();
        }
        CalibrationOptions.checkContext(terminal, source.config(), sequenceLength, false);
        TokenBlocks blocks = CalibrationOptions.read(
                terminal, model, calibration, samples, CalibrationOptions.MOST_SAMPLES, sequenceLength);
        Importance measured;
        try (Backend backend = device.open(terminal);
                Progress progress = new Progress(terminal, "measuring importance")) {
            measured = ImportanceMeasurement.measure(source, blocks, backend, fraction -> progress.at(fraction, ""));
        }
        if (save != null) {
            ImportanceFile.write(save, measured);
            terminal.note("importance written to " + save);
        }
        return Optional.of(measured);
    }
}
