package nibble.datasets;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.files.Reasons;
import nibble.files.digest.Sha256;

/**
 * Holds a text file read whole and strictly: malformed UTF-8 is an error that names the byte, never a replacement
 * character, since those would silently become other token ids.
 *
 * @param text the content without a leading byte order mark
 * @param sha256 of the bytes of the file, lower-case hex
 */
public record Utf8File(String text, String sha256) {
    public static Utf8File read(Path file, long maxBytes) {
        byte[] bytes;
        try {
            SourceText.require(file);
            long size = Files.size(file);
            if (size > maxBytes) {
                throw new BadDatasetException("%s: %d bytes, at most %d are read; cut the file, a few megabytes suffice"
                        .formatted(file, size, maxBytes));
            }
            bytes = Files.readAllBytes(file);
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read: " + Reasons.of(e), e);
        }
        String text = decode(bytes, file.toString());
        if (text.startsWith("\uFEFF")) {
            text = text.substring(1);
        }
        if (text.isBlank()) {
            throw new BadDatasetException(file + ": no text in it (" + bytes.length + " bytes)");
        }
        return new Utf8File(text, sha256(bytes));
    }

    public static String decode(byte[] bytes, String where) {
        CharsetDecoder decoder = StandardCharsets.UTF_8
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT);
        ByteBuffer in = ByteBuffer.wrap(bytes);
        // UTF-8 never decodes to more UTF-16 units than it has bytes.
        CharBuffer out = CharBuffer.allocate(bytes.length);
        CoderResult result = decoder.decode(in, out, true);
        if (result.isError()) {
            throw new BadDatasetException("%s: byte %d (line %d): not UTF-8, found 0x%02x; convert the file to UTF-8"
                    .formatted(where, in.position(), lineAt(bytes, in.position()), bytes[in.position()]));
        }
        return out.flip().toString();
    }

    public static String sha256(byte[] bytes) {
        return new Sha256().add(bytes).hex();
    }

    private static int lineAt(byte[] bytes, int position) {
        int line = 1;
        for (int i = 0; i < position; i++) {
            if (bytes[i] == '\n') {
                line++;
            }
        }
        return line;
    }
}
