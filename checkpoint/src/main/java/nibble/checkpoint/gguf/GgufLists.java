package nibble.checkpoint.gguf;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.AbstractList;
import java.util.List;
import java.util.RandomAccess;

/**
 * Makes lists of a GGUF header that keep the elements in the file's bytes. They make an element when it is asked for.
 * As objects, a vocabulary would take many times the memory for as long as the file is open.
 */
final class GgufLists {
    private GgufLists() {}

    /**
     * Returns a list of numbers or flags.
     *
     * @param type the number of the elements' type
     * @param bytes the elements, one after the other
     */
    static List<Object> numbers(int type, MemorySegment bytes) {
        return new Numbers(type, bytes);
    }

    /**
     * Returns a list of texts.
     *
     * @param bytes valid UTF-8, with other bytes in between
     * @param ranges where each text begins, and where it ends
     */
    static List<Object> texts(byte[] bytes, int[] ranges) {
        return new Texts(bytes, ranges);
    }

    private static final class Numbers extends AbstractList<Object> implements RandomAccess {
        private final int type;
        private final MemorySegment bytes;
        private final int width;

        Numbers(int type, MemorySegment bytes) {
            this.type = type;
            this.bytes = bytes;
            this.width = GgufReader.width(type);
        }

        @Override
        public Object get(int index) {
            return GgufReader.scalar(type, bytes, (long) index * width);
        }

        @Override
        public int size() {
            return (int) (bytes.byteSize() / width);
        }
    }

    private static final class Texts extends AbstractList<Object> implements RandomAccess {
        private final byte[] bytes;
        private final int[] ranges;

        Texts(byte[] bytes, int[] ranges) {
            this.bytes = bytes;
            this.ranges = ranges;
        }

        @Override
        public Object get(int index) {
            int from = ranges[2 * index];
            return new String(bytes, from, ranges[2 * index + 1] - from, StandardCharsets.UTF_8);
        }

        @Override
        public int size() {
            return ranges.length / 2;
        }
    }
}
