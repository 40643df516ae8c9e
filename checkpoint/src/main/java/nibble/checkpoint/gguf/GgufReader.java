package nibble.checkpoint.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.source.BadCheckpointException;

/** Reads a GGUF header value by value; nothing is allocated that the rest of the file could not fill. */
final class GgufReader {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final long MAX_TEXT_BYTES = 1 << 24;
    private static final long MAX_LIST = 1 << 24;

    private static final int TEXT = 8;
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
        long length = count("bytes of a text", MAX_TEXT_BYTES, 1);
        MemorySegment slice = bytes.asSlice(advance(length), length);
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(slice.asByteBuffer())
                    .toString();
        } catch (CharacterCodingException e) {
            throw bad("a text that is not valid UTF-8");
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
        return type == ARRAY ? list() : scalar(type);
    }

    private List<Object> list() {
        int type = u32();
        if (type == ARRAY) {
            throw bad("a list of lists, which no known key has");
        }
        long count = count("list elements", MAX_LIST, 1);
        List<Object> list = new ArrayList<>();
        for (long i = 0; i < count; i++) {
            list.add(scalar(type));
        }
        return list;
    }

    private Object scalar(int type) {
        return switch (type) {
            case 0 -> (long) (bytes.get(ValueLayout.JAVA_BYTE, advance(1)) & 0xff);
            case 1 -> (long) bytes.get(ValueLayout.JAVA_BYTE, advance(1));
            case 2 -> (long) (bytes.get(SHORT, advance(2)) & 0xffff);
            case 3 -> (long) bytes.get(SHORT, advance(2));
            case 4 -> u32() & 0xffffffffL;
            case 5 -> (long) u32();
            case 6 -> (double) Float.intBitsToFloat(u32());
            case 7 -> bytes.get(ValueLayout.JAVA_BYTE, advance(1)) != 0;
            case TEXT -> text();
            case 10, 11 -> u64();
            case 12 -> Double.longBitsToDouble(u64());
            default ->
                throw bad("a value of type " + Integer.toUnsignedString(type) + ", which the format does not have");
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
