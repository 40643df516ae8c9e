package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Returns the bytes that each token adds to the middle of a text. They may be a part of a character. The space that a
 * tokenizer leaves out at the beginning of a text is among them, and so are the texts of special tokens.
 */
public final class TokenBytes {
    private static final Pattern BYTE = Pattern.compile("<0x([0-9A-F]{2})>");

    private final Map<Integer, byte[]> bytes = new HashMap<>();
    private int longest;

    public TokenBytes(TokenizerDescription described) {
        JsonNode json = described.json();
        boolean alphabet = hasDecoder(json.path("decoder"), "ByteLevel");
        boolean fallback = hasDecoder(json.path("decoder"), "ByteFallback");
        described.texts().forEach((id, piece) -> put(id, ofPiece(piece, alphabet, fallback)));
        for (JsonNode token : json.path("added_tokens")) {
            put(token.path("id").asInt(-1), token.path("content").asText().getBytes(StandardCharsets.UTF_8));
        }
    }

    private void put(int id, byte[] value) {
        bytes.put(id, value);
        longest = Math.max(longest, value.length);
    }

    private static byte[] ofPiece(String piece, boolean alphabet, boolean fallback) {
        Optional<byte[]> written = alphabet ? ByteAlphabet.bytes(piece) : Optional.empty();
        if (written.isPresent()) {
            return written.get();
        }
        Matcher one = BYTE.matcher(piece);
        if (fallback && one.matches()) {
            return new byte[] {(byte) Integer.parseInt(one.group(1), 16)};
        }
        return (alphabet ? piece : piece.replace('\u2581', ' ')).getBytes(StandardCharsets.UTF_8);
    }

    private static boolean hasDecoder(JsonNode decoder, String type) {
        if (decoder.path("decoders").isArray()) {
            return decoder.path("decoders").valueStream().anyMatch(part -> hasDecoder(part, type));
        }
        return decoder.path("type").asText().equals(type);
    }

    /** Returns the bytes of a token; none for an id that is no token. */
    public byte[] of(int id) {
        return bytes.getOrDefault(id, new byte[0]).clone();
    }

    /** Returns the bytes of the longest token. */
    public int longest() {
        return longest;
    }
}
