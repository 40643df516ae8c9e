package nibble.datasets;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ref.SoftReference;
import java.util.Map;
import java.util.StringJoiner;
import java.util.concurrent.ConcurrentHashMap;
import nibble.files.Reasons;
import org.apache.commons.compress.compressors.bzip2.BZip2CompressorInputStream;

/**
 * Holds the wikitext-2 raw corpus that comes with Nibble (CC BY-SA 3.0, see the README beside the resources). Texts are
 * the bytes of the published raw files; their SHA-256 is checked on every reading. A text that was read stays in memory
 * while there is room.
 */
public final class Wikitext2 {
    /** SHA-256 of the raw test file, 1,290,590 bytes. */
    public static final String TEST_SHA256 = "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08";

    private static final String VALIDATION_SHA256 = "4cd0f6876d07a413aa911261ff6d363c72d757d47f0fdd6015702014c89cb9c7";
    private static final String TRAIN_EXCERPT_SHA256 =
            "202fe8b8c4853f1de79b459d8af874d7f043f8299995c769604ffde1b07eb860";

    /** What was read, by the name of the file. */
    private static final Map<String, SoftReference<String>> TEXTS = new ConcurrentHashMap<>();

    private Wikitext2() {}

    /** Returns {@code wiki.test.raw}: measure on it, never calibrate on it. */
    public static String test() {
        return read("wiki.test.raw", TEST_SHA256);
    }

    /** Returns {@code wiki.valid.raw}. */
    public static String validation() {
        return read("wiki.valid.raw", VALIDATION_SHA256);
    }

    /** Returns the first 1,000,000 bytes of {@code wiki.train.raw}, blank lines dropped. */
    public static String trainExcerpt() {
        return read("wiki.train.first1MB.raw", TRAIN_EXCERPT_SHA256);
    }

    /**
     * Returns the text of the {@code gptq} perplexity recipe: the rows of the published data set joined by two
     * newlines. A row
     * is a line of the raw file with its newline; a line of white space only is an empty row.
     *
     * @param raw content of a raw file
     */
    public static String joined(String raw) {
        StringJoiner joined = new StringJoiner("\n\n");
        int begin = 0;
        while (begin < raw.length()) {
            int newline = raw.indexOf('\n', begin);
            int end = newline < 0 ? raw.length() : newline + 1;
            String row = raw.substring(begin, end);
            joined.add(row.isBlank() ? "" : row);
            begin = end;
        }
        return joined.toString();
    }

    private static String read(String name, String sha256) {
        SoftReference<String> kept = TEXTS.get(name);
        String text = kept == null ? null : kept.get();
        if (text == null) {
            text = unpacked(name, sha256);
            TEXTS.put(name, new SoftReference<>(text));
        }
        return text;
    }

    private static String unpacked(String name, String sha256) {
        String resource = "wikitext2/" + name + ".bz2";
        byte[] bytes;
        try (InputStream in = Wikitext2.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new BadDatasetException(
                        "bundled " + resource + " is missing from this build; build Nibble again");
            }
            bytes = new BZip2CompressorInputStream(new BufferedInputStream(in)).readAllBytes();
        } catch (IOException e) {
            throw new BadDatasetException(
                    "bundled " + resource + " cannot be read: " + Reasons.of(e) + "; build Nibble again", e);
        }
        String found = Utf8File.sha256(bytes);
        if (!found.equals(sha256)) {
            throw new BadDatasetException("bundled %s is damaged: SHA-256 %s, expected %s; build Nibble again"
                    .formatted(resource, found, sha256));
        }
        return Utf8File.decode(bytes, resource);
    }
}
