package nibble.datasets;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import nibble.files.digest.Sha256;

/**
 * Holds the text a quantizer calibrates on, as documents in their order.
 *
 * @param documents at least one, none empty
 * @param description for reports: which data, which parts
 * @param sha256 of the source's bytes (of a bundled corpus: of its parts in order), lower-case hex
 */
public record CalibrationText(List<String> documents, String description, String sha256) {
    // Held whole in memory, twice while it is read; the usual 128 blocks of 4096 ids are about 2 MB.
    private static final long MAX_BYTES = 64L << 20;

    public CalibrationText {
        documents = List.copyOf(documents);
    }

    /** Returns the bundled wikitext-2: first megabyte of train, then validation; never test, which is measured on. */
    public static CalibrationText wikitext2() {
        List<String> parts = List.of(Wikitext2.trainExcerpt(), Wikitext2.validation());
        Sha256 sha256 = new Sha256();
        for (String part : parts) {
            sha256.add(part);
        }
        return new CalibrationText(
                parts, "wikitext2 raw, first 1,000,000 bytes of train, then validation", sha256.hex());
    }

    /**
     * Returns a text file of one's own, UTF-8: {@code .jsonl}, {@code .ndjson} and {@code .json} hold one JSON
     * object a line
     * whose field {@code text} is a document; any other file is one document.
     *
     * @throws BadDatasetException if the file is missing, empty, too large, not UTF-8, or a line is not such an object
     */
    public static CalibrationText file(Path file) {
        Utf8File read = Utf8File.read(file, MAX_BYTES);
        String name = file.toString().toLowerCase(Locale.ROOT);
        boolean lines = name.endsWith(".jsonl") || name.endsWith(".ndjson") || name.endsWith(".json");
        List<String> documents = lines ? JsonLines.texts(file, read.text()) : List.of(read.text());
        String description =
                lines ? "%s (%d JSON lines with text)".formatted(file, documents.size()) : file + " (plain text)";
        return new CalibrationText(documents, description, read.sha256());
    }
}
