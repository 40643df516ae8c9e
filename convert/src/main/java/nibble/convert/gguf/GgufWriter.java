package nibble.convert.gguf;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import nibble.convert.OutputException;
import nibble.convert.Shape;

/**
 * Writes one GGUF file of version 3: header first, then each tensor's data in the order given. The caller makes the file
 * appear under its name only when it is whole, as {@link nibble.convert.OutputFolder} does.
 */
public final class GgufWriter implements AutoCloseable {
    private static final int ALIGNMENT = 32;

    /**
     * A tensor to be written.
     *
     * @param shape outermost first
     */
    public record Entry(String name, GgufType type, Shape shape) {
        public long bytes() {
            return type.bytes(shape.elements());
        }
    }

    private final Path file;
    private final FileChannel channel;
    private final List<Entry> entries;
    private int current;
    private long written;

    private GgufWriter(Path file, FileChannel channel, List<Entry> entries) {
        this.file = file;
        this.channel = channel;
        this.entries = entries;
    }

    /**
     * Creates the file and writes its header.
     *
     * @throws OutputException if the disk refuses
     */
    public static GgufWriter create(Path file, SequencedMap<String, GgufValue> metadata, List<Entry> entries) {
        try {
            FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            GgufWriter writer = new GgufWriter(file, channel, List.copyOf(entries));
            writer.put(header(metadata, entries));
            return writer;
        } catch (IOException e) {
            throw OutputException.of(file, "creating the file", e);
        }
    }

    /**
     * The next bytes of the tensor at hand; the tensors follow one another in the order of the header.
     *
     * @throws OutputException if the disk is full or refuses
     */
    public void write(byte[] bytes, int length) {
        if (current == entries.size() || written + length > entries.get(current).bytes()) {
            throw new IllegalArgumentException("more data than the header says");
        }
        try {
            put(ByteBuffer.wrap(bytes, 0, length));
            written += length;
            if (written == entries.get(current).bytes()) {
                put(ByteBuffer.allocate(padding(written)));
                current++;
                written = 0;
            }
        } catch (IOException e) {
            throw OutputException.of(file, "writing tensor " + entries.get(current).name(), e);
        }
    }

    /** @throws IllegalStateException if a tensor was not written whole */
    public void finish() {
        if (current != entries.size()) {
            throw new IllegalStateException("tensor " + entries.get(current).name() + " was not written");
        }
        try {
            channel.force(true);
        } catch (IOException e) {
            throw OutputException.of(file, "finishing the file", e);
        }
    }

    private void put(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    private static int padding(long length) {
        return (int) ((ALIGNMENT - length % ALIGNMENT) % ALIGNMENT);
    }

    private static ByteBuffer header(SequencedMap<String, GgufValue> metadata, List<Entry> entries) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes("GGUF".getBytes(StandardCharsets.US_ASCII));
        u32(out, 3);
        u64(out, entries.size());
        u64(out, metadata.size());
        for (Map.Entry<String, GgufValue> pair : metadata.entrySet()) {
            text(out, pair.getKey());
            value(out, pair.getValue());
        }
        long offset = 0;
        for (Entry entry : entries) {
            text(out, entry.name());
            u32(out, entry.shape().rank());
            for (int axis = entry.shape().rank() - 1; axis >= 0; axis--) {
                u64(out, entry.shape().dim(axis));
            }
            u32(out, entry.type().id());
            u64(out, offset);
            offset += entry.bytes() + padding(entry.bytes());
        }
        out.writeBytes(new byte[padding(out.size())]);
        return ByteBuffer.wrap(out.toByteArray());
    }

    private static void value(ByteArrayOutputStream out, GgufValue value) {
        switch (value) {
            case GgufValue.Text(String text) -> {
                u32(out, 8);
                text(out, text);
            }
            case GgufValue.U32(long number) -> {
                u32(out, 4);
                u32(out, (int) number);
            }
            case GgufValue.F32(float number) -> {
                u32(out, 6);
                u32(out, Float.floatToRawIntBits(number));
            }
            case GgufValue.Flag(boolean flag) -> {
                u32(out, 7);
                out.write(flag ? 1 : 0);
            }
            case GgufValue.Texts(List<String> texts) -> {
                list(out, 8, texts.size());
                texts.forEach(text -> text(out, text));
            }
            case GgufValue.F32s(List<Float> numbers) -> {
                list(out, 6, numbers.size());
                numbers.forEach(number -> u32(out, Float.floatToRawIntBits(number)));
            }
            case GgufValue.I32s(List<Integer> numbers) -> {
                list(out, 5, numbers.size());
                numbers.forEach(number -> u32(out, number));
            }
        }
    }

    private static void list(ByteArrayOutputStream out, int type, int size) {
        u32(out, 9);
        u32(out, type);
        u64(out, size);
    }

    private static void text(ByteArrayOutputStream out, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        u64(out, bytes.length);
        out.writeBytes(bytes);
    }

    private static void u32(ByteArrayOutputStream out, int value) {
        out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
    }

    private static void u64(ByteArrayOutputStream out, long value) {
        out.writeBytes(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw OutputException.of(file, "closing the file", e);
        }
    }
}
