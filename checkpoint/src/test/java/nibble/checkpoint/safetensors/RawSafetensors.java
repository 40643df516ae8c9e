package nibble.checkpoint.safetensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nibble.checkpoint.tensor.TensorSpec;

/** Safetensors files put together by hand, so that the reader is not tested with the writer alone. */
public final class RawSafetensors {
    private RawSafetensors() {}

    public static Path write(Path file, String header, byte[] data) throws IOException {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        return write(file, json.length, json, data);
    }

    public static Path write(Path file, long headerLength, byte[] header, byte[] data) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(8 + header.length + data.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(headerLength).put(header).put(data);
        return Files.write(file, bytes.array());
    }

    /** A file of these tensors, their data counting up. */
    public static Path write(Path file, List<TensorSpec> specs) throws IOException {
        StringBuilder header = new StringBuilder();
        int end = 0;
        for (TensorSpec spec : specs) {
            int begin = end;
            end += (int) spec.bytes();
            header.append(header.isEmpty() ? "{" : ",");
            header.append(
                    entry(spec.name(), spec.dtype().name(), spec.shape().dims().toString(), begin, end));
        }
        byte[] data = new byte[end];
        for (int i = 0; i < end; i++) {
            data[i] = (byte) (i % 101);
        }
        return write(file, header.append("}").toString(), data);
    }

    static String entry(String name, String dtype, String shape, long begin, long end) {
        return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
                .formatted(name, dtype, shape, begin, end);
    }
}
