package nibble.checkpoint.vocabulary;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** The printable characters that byte-level vocabularies, from GPT-2's on, write bytes with. */
final class ByteAlphabet {
    private static final char[] LETTERS = new char[256];
    private static final Map<Character, Byte> VALUES = new HashMap<>();

    static {
        // Bytes that print as they are stand for themselves; the others follow from U+0100 on, in their order.
        char next = 0x100;
        for (int b = 0; b < 256; b++) {
            boolean prints = b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae;
            LETTERS[b] = prints ? (char) b : next++;
            VALUES.put(LETTERS[b], (byte) b);
        }
    }

    private ByteAlphabet() {}

    /** A character for each byte. */
    static String of(byte[] bytes) {
        char[] text = new char[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            text[i] = LETTERS[bytes[i] & 0xff];
        }
        return new String(text);
    }

    /** The bytes that a text of these characters stands for; empty where another character is in it. */
    static Optional<byte[]> bytes(String text) {
        byte[] bytes = new byte[text.length()];
        for (int i = 0; i < bytes.length; i++) {
            Byte value = VALUES.get(text.charAt(i));
            if (value == null) {
                return Optional.empty();
            }
            bytes[i] = value;
        }
        return Optional.of(bytes);
    }
}
