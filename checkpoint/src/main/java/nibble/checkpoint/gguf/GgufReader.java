package nibble.checkpoint.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import nibble.checkpoint.source.BadCheckpointException;

/** Reads a GGUF header value by value; nothing is allocated that the rest of the file could not fill. */
final class GgufReader {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble DOUBLE =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final long MAX_TEXT_BYTES = 1 << 24;
    private static final long MAX_TEXTS_BYTES = 1 << 30;
    private static final long MAX_LIST = 1 << 24;

    static final int TEXT = 8;
    private static final int ARRAY = 9;

    private final Path path;
    private final MemorySegment bytes;
    private long at;

    GgufReader(Path path, MemorySegment bytes) {
        this.path = path;
        this.bytes = bytes;
    }

    long position() {
        return at;
    }

    int u32() {
        return bytes.get(INT, advance(4));
    }

    long u64() {
        return bytes.get(LONG, advance(8));
    }

    String text() {
        long length = textLength();
        MemorySegment slice = bytes.asSlice(advance(length), length);
        requireUtf8(slice);
        return new String(slice.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
    }

    private long textLength() {
        return count("bytes of a text", MAX_TEXT_BYTES, 1);
    }

    private void requireUtf8(MemorySegment text) {
        for (long i = 0; i < text.byteSize(); i++) {
            // Most texts are ASCII, and then need no decoder.
            if (text.get(ValueLayout.JAVA_BYTE, i) < 0) {
                try {
                    StandardCharsets.UTF_8.newDecoder().decode(text.asByteBuffer());
                    return;
                } catch (CharacterCodingException e) {
                    throw bad("a text that is not valid UTF-8");
                }
            }
        }
    }

    /** A number of things of at least {@code leastBytes} each, which the rest of the file must be able to hold. */
    long count(String what, long most, int leastBytes) {
        long count = u64();
        if (count < 0 || count > most || count > (bytes.byteSize() - at) / leastBytes) {
            throw bad(Long.toUnsignedString(count) + " " + what + ", more than "
                    + Math.min(most, (bytes.byteSize() - at) / leastBytes)
                    + "; the file was cut short or damaged, get it again");
        }
        return count;
    }

    /** A value with its type in front. */
    Object value() {
        int type = u32();
        return switch (type) {
            case ARRAY -> list();
            case TEXT -> text();
            default -> scalar(type, bytes, advance(knownWidth(type)));
        };
    }

    private List<Object> list() {
        int type = u32();
        if (type == ARRAY) {
            throw bad("a list of lists, which no known key has");
        }
        if (type == TEXT) {
            return texts((int) count("list elements", MAX_LIST, 8));
        }
        int width = knownWidth(type);
        long length = width * count("list elements", MAX_LIST, width);
        byte[] elements = bytes.asSlice(advance(length), length).toArray(ValueLayout.JAVA_BYTE);
        return GgufLists.numbers(type, MemorySegment.ofArray(elements));
    }

    private List<Object> texts(int count) {
        int[] ranges = new int[2 * count];
        long first = at;
        for (int i = 0; i < count; i++) {
            long length = textLength();
            long from = advance(length);
            if (at - first > MAX_TEXTS_BYTES) {
                throw bad("a list of texts of more than " + MAX_TEXTS_BYTES + " bytes, which no vocabulary has");
            }
            requireUtf8(bytes.asSlice(from, length));
            ranges[2 * i] = (int) (from - first);
            ranges[2 * i + 1] = (int) (at - first);
        }
        return GgufLists.texts(bytes.asSlice(first, at - first).toArray(ValueLayout.JAVA_BYTE), ranges);
    }

    /** Bytes of a number or flag of a type; 0 where the format has no such type. */
    static int width(int type) {
        return switch (type) {
            case 0, 1, 7 -> 1;
            case 2, 3 -> 2;
            case 4, 5, 6 -> 4;
            case 10, 11, 12 -> 8;
            default -> 0;
        };
    }

    private int knownWidth(int type) {
        int width = width(type);
        if (width == 0) {
            throw bad("a value of type " + Integer.toUnsignedString(type) + ", which the format does not have");
        }
        return width;
    }

    /** A number or flag of a type with a {@link #width}. */
    static Object scalar(int type, MemorySegment bytes, long at) {
        return switch (type) {
            case 0 -> (long) (bytes.get(ValueLayout.JAVA_BYTE, at) & 0xff);
            case 1 -> (long) bytes.get(ValueLayout.JAVA_BYTE, at);
            case 2 -> (long) (bytes.get(SHORT, at) & 0xffff);
            case 3 -> (long) bytes.get(SHORT, at);
            case 4 -> bytes.get(INT, at) & 0xffffffffL;
            case 5 -> (long) bytes.get(INT, at);
            case 6 -> (double) bytes.get(FLOAT, at);
            case 7 -> bytes.get(ValueLayout.JAVA_BYTE, at) != 0;
            case 12 -> bytes.get(DOUBLE, at);
            default -> bytes.get(LONG, at);
        };
    }

    private long advance(long count) {
        if (count > bytes.byteSize() - at) {
            throw bad("ends inside its header; it was cut short, get it again");
        }
        long from = at;
        at += count;
        return from;
    }

    BadCheckpointException bad(String what) {
        return new BadCheckpointException(path, "byte " + at + ": " + what);
    }
}
