package nibble.datasets;

import java.nio.file.Path;

/**
 * Holds a text to measure perplexity on.
 *
 * @param name what it is called in reports: {@code wikitext2} or the file's path
 * @param form how the text was made of the source: {@code rows_joined} (the {@code gptq} recipe) or {@code as_is}
 * @param sha256 of the source's bytes before any joining, lower-case hex
 */
public record TextDataset(String name, String text, String form, String sha256) {
    // Encoded as one text, for which the encoder needs some 130 bytes a character; wikitext-2's test part has 1.3 MB.
    private static final long MAX_BYTES = 32L << 20;

    /** Returns the wikitext-2 raw test part, its rows joined by two newlines as the {@code gptq} recipe has it. */
    public static TextDataset wikitext2Test() {
        return new TextDataset("wikitext2", Wikitext2.joined(Wikitext2.test()), "rows_joined", Wikitext2.TEST_SHA256);
    }

    /**
     * Returns a plain UTF-8 text file, taken as it is. So the raw wikitext-2 file given here yields another figure than
     * {@link #wikitext2Test()}, which joins its rows.
     *
     * @throws BadDatasetException if the file is missing, empty, too large or not UTF-8
     */
    public static TextDataset file(Path file) {
        Utf8File read = Utf8File.read(file, MAX_BYTES);
        return new TextDataset(file.toString(), read.text(), "as_is", read.sha256());
    }
}
