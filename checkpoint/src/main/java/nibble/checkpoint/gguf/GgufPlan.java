package nibble.checkpoint.gguf;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import nibble.checkpoint.safetensors.PlannedFile;
import nibble.checkpoint.tensor.Shape;

/**
 * Plans GGUF files of version 3, known to the byte before anything is written: one, or as many as a limit asks for.
 * Split files are named as llama.cpp's: the first one has the metadata and each says which it is ({@code split.no}).
 */
public final class GgufPlan {
    private static final int ALIGNMENT = 32;

    /** Most files of a split, a 16-bit number in llama.cpp. */
    private static final int MAX_FILES = 65_535;

    /**
     * Describes a tensor to be written.
     *
     * @param shape outermost first
     */
    public record Entry(String name, GgufType type, Shape shape) {
        public long bytes() {
            return type.bytes(shape.elements());
        }
    }

    private GgufPlan() {}

    /** Returns a file with everything in it. */
    public static PlannedFile file(String name, SequencedMap<String, GgufValue> metadata, List<Entry> entries) {
        byte[] header = header(metadata, entries);
        List<PlannedFile.Slot> slots = new ArrayList<>();
        long offset = header.length;
        for (Entry entry : entries) {
            slots.add(new PlannedFile.Slot(entry.name(), offset, entry.bytes(), entry.type() + " " + entry.shape()));
            offset += entry.bytes() + padding(entry.bytes());
        }
        return new PlannedFile(name, header, slots, offset);
    }

    /**
     * Plans one file where all tensors fit into {@code maxBytes}, else files of at most so many tensor bytes, or one
     * tensor.
     *
     * @param stem of the names: {@code STEM.gguf}, or {@code STEM-00001-of-00002.gguf} and so on
     * @throws IllegalArgumentException if there would be too many files
     */
    public static List<PlannedFile> files(
            String stem, SequencedMap<String, GgufValue> metadata, List<Entry> entries, long maxBytes) {
        List<List<Entry>> groups = new ArrayList<>(List.of(new ArrayList<>()));
        long filled = 0;
        for (Entry entry : entries) {
            if (filled > 0 && entry.bytes() > maxBytes - filled) {
                groups.add(new ArrayList<>());
                filled = 0;
            }
            groups.getLast().add(entry);
            filled += entry.bytes();
        }
        int count = groups.size();
        if (count == 1) {
            return List.of(file(stem + ".gguf", metadata, entries));
        }
        if (count > MAX_FILES) {
            throw new IllegalArgumentException(count + " files of at most " + maxBytes + " bytes, GGUF allows "
                    + MAX_FILES + "; choose larger files");
        }
        List<PlannedFile> files = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            SequencedMap<String, GgufValue> own = i == 0 ? new LinkedHashMap<>(metadata) : new LinkedHashMap<>();
            own.put("split.no", new GgufValue.U16(i));
            own.put("split.count", new GgufValue.U16(count));
            own.put("split.tensors.count", new GgufValue.I32(entries.size()));
            files.add(file("%s-%05d-of-%05d.gguf".formatted(stem, i + 1, count), own, groups.get(i)));
        }
        return files;
    }

    private static int padding(long length) {
        return (int) ((ALIGNMENT - length % ALIGNMENT) % ALIGNMENT);
    }

    private static byte[] header(SequencedMap<String, GgufValue> metadata, List<Entry> entries) {
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
        return out.toByteArray();
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
            case GgufValue.U16(int number) -> {
                u32(out, 2);
                out.write(number);
                out.write(number >> 8);
            }
            case GgufValue.I32(int number) -> {
                u32(out, 5);
                u32(out, number);
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
            case GgufValue.Flags(List<Boolean> flags) -> {
                list(out, 7, flags.size());
                flags.forEach(flag -> out.write(flag ? 1 : 0));
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
        out.writeBytes(ByteBuffer.allocate(4)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(value)
                .array());
    }

    private static void u64(ByteArrayOutputStream out, long value) {
        out.writeBytes(ByteBuffer.allocate(8)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(value)
                .array());
    }
}
