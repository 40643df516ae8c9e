package nibble.convert.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufFile;
import nibble.convert.BundledModel;
import nibble.convert.ConversionOptions;
import nibble.convert.gguf.GgufExporter;
import nibble.convert.gguf.GgufMix;
import nibble.files.output.StopSignal;

/** The bytes of a GGUF file, to plant defects in. */
record GgufBytes(ByteBuffer bytes, Path path) {
    /** The bundled model, exported to {@code out} in files of at most so many bytes. */
    static Path export(Path out, GgufMix mix, long most) {
        try (Checkpoint source = Checkpoint.open(BundledModel.FOLDER)) {
            GgufExporter.export(
                    source,
                    mix,
                    Optional.empty(),
                    new ConversionOptions(out, most, 2, false, new StopSignal(), note -> {}, done -> {}));
        }
        return out;
    }

    /** Verifies beside the bundled model. */
    static CheckpointVerification verify(Path path) {
        return CheckpointVerification.of(path, Optional.of(BundledModel.FOLDER), 2, bytes -> {});
    }

    static GgufBytes read(Path path) throws IOException {
        return new GgufBytes(ByteBuffer.wrap(Files.readAllBytes(path)).order(ByteOrder.LITTLE_ENDIAN), path);
    }

    void write() throws IOException {
        Files.write(path, bytes.array());
    }

    /** Where what follows a key or a tensor's name begins. */
    int behind(String name) {
        byte[] text = name.getBytes(StandardCharsets.UTF_8);
        for (int i = 24; i + 8 + text.length < bytes.capacity(); i++) {
            if (bytes.getLong(i) == text.length
                    && Arrays.equals(Arrays.copyOfRange(bytes.array(), i + 8, i + 8 + text.length), text)) {
                return i + 8 + text.length;
            }
        }
        throw new AssertionError("no " + name);
    }

    /** Gives a key or tensor another name of the same length. */
    void rename(String from, String to) {
        assertThat(to).hasSameSizeAs(from);
        bytes.put(behind(from) - from.length(), to.getBytes(StandardCharsets.UTF_8));
    }

    /** Takes a tensor out: its entry and its data; those behind move up. */
    void without(String tensor) throws IOException {
        int data = data(tensor);
        long offset;
        long length;
        long begin;
        Map<String, Long> later = new LinkedHashMap<>();
        try (Arena arena = Arena.ofConfined()) {
            GgufFile file = GgufFile.open(path, arena);
            GgufFile.Tensor gone = file.tensors().get(tensor);
            offset = gone.offset();
            length = (gone.data().byteSize() + 31) / 32 * 32;
            begin = data - offset;
            file.tensors().values().stream()
                    .filter(other -> other.offset() > offset)
                    .forEach(other -> later.put(other.name(), other.offset() - length));
        }
        later.forEach((name, to) -> {
            int at = behind(name);
            bytes.putLong(at + 4 + 8 * bytes.getInt(at) + 4, to);
        });
        bytes.putLong(8, bytes.getLong(8) - 1);
        int behind = behind(tensor);
        int end = behind + 4 + 8 * bytes.getInt(behind) + 4 + 8;
        int start = behind - tensor.length() - 8;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(bytes.array(), 0, start);
        int last = bytes.capacity();
        int headerEnd = headerEnd();
        out.write(bytes.array(), end, headerEnd - end);
        out.writeBytes(new byte[-out.size() & 31]);
        out.write(bytes.array(), (int) begin, (int) offset);
        int rest = (int) Math.min(last, begin + offset + length);
        out.write(bytes.array(), rest, last - rest);
        Files.write(path, out.toByteArray());
    }

    /** Where the last tensor's entry ends. */
    private int headerEnd() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            int end = 0;
            for (String name : GgufFile.open(path, arena).tensors().keySet()) {
                int at = behind(name);
                end = Math.max(end, at + 4 + 8 * bytes.getInt(at) + 4 + 8);
            }
            return end;
        }
    }

    /** The value of a key whose type is a 32-bit number. */
    void set(String key, int value) {
        bytes.putInt(behind(key) + 4, value);
    }

    /** An element of a key whose value is a list of 32-bit numbers. */
    void set(String key, int index, int value) {
        bytes.putInt(behind(key) + 4 + 4 + 8 + 4 * index, value);
    }

    /** Where the data of a tensor begins. */
    int data(String tensor) {
        try (Arena arena = Arena.ofConfined()) {
            GgufFile file = GgufFile.open(path, arena);
            GgufFile.Tensor last = List.copyOf(file.tensors().values()).getLast();
            long end = last.offset() + (last.data().byteSize() + 31) / 32 * 32;
            return (int) (bytes.capacity() - end + file.tensors().get(tensor).offset());
        }
    }

    void move(String tensor, long by) {
        int at = behind(tensor) + 4 + 16 + 4;
        bytes.putLong(at, bytes.getLong(at) + by);
    }

    void zero(String tensor, int count) {
        int from = data(tensor);
        Arrays.fill(bytes.array(), from, from + count, (byte) 0);
    }

    /** Rows 1 and 2 of every four change places, as if halves of heads were neither apart nor together. */
    void swap(String tensor, int rowBytes) {
        byte[] all = bytes.array();
        int from = data(tensor);
        for (int row = 0; row < 256; row += 4) {
            int first = from + (row + 1) * rowBytes;
            byte[] kept = Arrays.copyOfRange(all, first, first + rowBytes);
            System.arraycopy(all, first + rowBytes, all, first, rowBytes);
            System.arraycopy(kept, 0, all, first + rowBytes, rowBytes);
        }
    }
}
