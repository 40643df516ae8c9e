package nibble.files;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Lists kinds of content that are told by their first bytes. */
public enum Content {
    GGUF("a GGUF file", "GGUF"),
    ZIP("a zip file", "PK\3\4"),
    EMPTY_ZIP("an empty zip file", "PK\5\6"),
    GZIP("compressed by gzip", "\u001f\u008b"),
    ZSTANDARD("compressed by zstd", "(\u00b5/\u00fd"),
    XZ("compressed by xz", "\u00fd7zXZ\0"),
    BZIP2("compressed by bzip2", "BZh"),
    LZ4("compressed by lz4", "\4\"M\u0018"),
    SEVEN_ZIP("a 7z archive", "7z\u00bc\u00af\u0027\u001c"),
    RAR("a rar archive", "Rar!\u001a\7"),
    PARQUET("a Parquet file", "PAR1"),
    HDF5("an HDF5 file", "\u0089HDF\r\n\u001a\n"),
    PDF("a PDF document", "%PDF-"),
    PNG("an image", "\u0089PNG"),
    PICKLE("a Python pickle", "\u0080\2", "\u0080\3", "\u0080\4", "\u0080\5"),
    PROGRAM("a program", "\u007fELF", "MZ\u0090");

    private final String name;
    private final byte[][] starts;

    Content(String name, String... starts) {
        this.name = name;
        this.starts = Arrays.stream(starts)
                .map(start -> start.getBytes(StandardCharsets.ISO_8859_1))
                .toArray(byte[][]::new);
    }

    /** The kind that a file begins like, if it is one of these. */
    static @Nullable Content of(byte[] head) {
        if (isSafetensors(head)) {
            return null;
        }
        for (Content kind : values()) {
            for (byte[] start : kind.starts) {
                if (head.length >= start.length && Arrays.equals(head, 0, start.length, start, 0, start.length)) {
                    return kind;
                }
            }
        }
        return null;
    }

    /**
     * Whether a length and a JSON object begin the file. The length may have any bytes: that of a header of 1152 bytes
     * begins as a pickle does.
     */
    private static boolean isSafetensors(byte[] head) {
        return head.length > 8 && head[8] == '{' && head[4] == 0 && head[5] == 0 && head[6] == 0 && head[7] == 0;
    }

    boolean compressed() {
        return name.startsWith("compressed");
    }

    @Override
    public String toString() {
        return name;
    }
}
