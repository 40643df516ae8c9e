package nibble.checkpoint.vocabulary;

/** The printable characters that byte-level vocabularies, from GPT-2's on, write bytes with. */
final class ByteAlphabet {
    private static final char[] LETTERS = new char[256];

    static {
        // Bytes that print as they are stand for themselves; the others follow from U+0100 on, in their order.
        char next = 0x100;
        for (int b = 0; b < 256; b++) {
            boolean prints = b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae;
            LETTERS[b] = prints ? (char) b : next++;
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
}
