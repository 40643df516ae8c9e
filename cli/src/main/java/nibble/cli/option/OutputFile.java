package nibble.cli.option;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import nibble.files.Reasons;
import nibble.files.WholeFile;

/** Writes files that an option names, for figures and reports. */
public final class OutputFile {
    private OutputFile() {}

    /**
     * Tries, before work that takes long, whether a file can be written at all.
     *
     * @param option as {@code --json}
     * @throws UsageException if not
     */
    public static void require(String option, Path file) {
        try {
            WholeFile.probe(file);
        } catch (IOException e) {
            throw new UsageException(option + " " + file + ": cannot be written: " + Reasons.of(e));
        }
    }

    /**
     * Writes a file whole or not at all.
     *
     * @param option as {@code "--json "}, or empty, for messages
     */
    public static void write(String option, Path file, String text) {
        try {
            WholeFile.write(file, text);
        } catch (IOException e) {
            throw new UncheckedIOException(option + file + ": cannot be written: " + Reasons.of(e), e);
        }
    }
}
