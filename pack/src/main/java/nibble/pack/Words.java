package nibble.pack;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Packs little-endian words of codes, the first one lowest. */
public final class Words {
    public static final ValueLayout.OfInt INT = JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    public static final ValueLayout.OfShort SHORT = JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Words() {}

    /** Returns a word full of one code of 4 or 8 bits. */
    public static int repeated(int code, int bits) {
        return code * (bits == 4 ? 0x11111111 : 0x01010101);
    }

    /** Returns the word of the codes in four bytes. */
    public static int codes(byte[] codes, int at) {
        return codes[at] & 0xff | (codes[at + 1] & 0xff) << 8 | (codes[at + 2] & 0xff) << 16 | codes[at + 3] << 24;
    }

    public static void putCodes(int word, byte[] codes, int at) {
        codes[at] = (byte) word;
        codes[at + 1] = (byte) (word >> 8);
        codes[at + 2] = (byte) (word >> 16);
        codes[at + 3] = (byte) (word >> 24);
    }

    public static MemorySegment littleEndian(int[] values) {
        if (ByteOrder.nativeOrder() == ByteOrder.BIG_ENDIAN) {
            for (int i = 0; i < values.length; i++) {
                values[i] = Integer.reverseBytes(values[i]);
            }
        }
        return MemorySegment.ofArray(values);
    }
}
