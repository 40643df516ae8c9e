package nibble.serve.generation;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.vocabulary.TokenBytes;
import nibble.checkpoint.vocabulary.TokenizerDescription;

/** Names single tokens, as log-probabilities show them. Thread-safe. */
public final class TokenTexts {
    private final TokenBytes bytes;
    private final Map<Integer, String> pieces;

    public TokenTexts(TokenizerDescription described) {
        bytes = new TokenBytes(described);
        pieces = new HashMap<>(described.texts());
    }

    /** Returns the bytes of a token. */
    public byte[] bytes(int id) {
        return bytes.of(id);
    }

    /**
     * Returns the text of a token; where it holds a part of a character, its bytes in the form {@code \xe2\x82}, so
     * that two such tokens have two names.
     *
     * @param prefix leads that form
     */
    public String text(int id, String prefix) {
        byte[] own = bytes.of(id);
        return decoded(own).orElseGet(() -> {
            StringBuilder text = new StringBuilder(prefix);
            for (byte b : own) {
                text.append("\\x").append(HexFormat.of().toHexDigits(b));
            }
            return text.toString();
        });
    }

    /** Returns the characters that a token begins: over all tokens of a text, its length in characters. */
    public int characters(int id) {
        int count = 0;
        for (byte b : bytes.of(id)) {
            count += (b & 0xc0) == 0x80 ? 0 : 1;
        }
        return count;
    }

    /** Returns a token as the vocabulary writes it. */
    public String piece(int id) {
        return pieces.getOrDefault(id, "");
    }

    /** Returns the bytes of the longest token. */
    public int longest() {
        return bytes.longest();
    }

    private static Optional<String> decoded(byte[] bytes) {
        try {
            return Optional.of(StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString());
        } catch (CharacterCodingException e) {
            return Optional.empty();
        }
    }
}
