package nibble.calibrate.stream;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.function.BiConsumer;
import java.util.function.IntFunction;
import nibble.files.digest.Sha256;
import nibble.files.output.OutputException;

/** Keeps hidden states on disk: the values of matrix after matrix, as little-endian fp32, so exactly as they were. */
public final class StreamFile {
    private StreamFile() {}

    /**
     * Writes and syncs a file.
     *
     * @return SHA-256 of its bytes
     * @throws OutputException if the disk is full or refuses
     */
    static String write(Path file, int matrices, IntFunction<float[]> values) {
        Sha256 sha256 = new Sha256();
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
            for (int i = 0; i < matrices; i++) {
                float[] next = values.apply(i);
                ByteBuffer bytes = buffer(next.length);
                bytes.asFloatBuffer().put(next);
                sha256.add(MemorySegment.ofBuffer(bytes));
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
            }
            channel.force(true);
        } catch (IOException e) {
            throw OutputException.of(file, "saving the calibration stream", e);
        }
        return sha256.hex();
    }

    /**
     * Reads matrices back.
     *
     * @param rows of each matrix
     * @param taker is given the number and the values of each
     * @return whether the bytes are those of {@code sha256}; what was taken is useless if not
     */
    public static boolean read(Path file, int[] rows, int columns, String sha256, BiConsumer<Integer, float[]> taker) {
        Sha256 found = new Sha256();
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            for (int i = 0; i < rows.length; i++) {
                float[] values = new float[Math.multiplyExact(rows[i], columns)];
                ByteBuffer bytes = buffer(values.length);
                while (bytes.hasRemaining() && channel.read(bytes) >= 0) {
                    // Until the buffer is full or the file ends, which the hash will tell.
                }
                bytes.clear();
                found.add(MemorySegment.ofBuffer(bytes));
                bytes.asFloatBuffer().get(values);
                taker.accept(i, values);
            }
        } catch (IOException e) {
            return false;
        }
        return found.hex().equals(sha256);
    }

    /** Returns whether a file is there and its bytes are those of {@code sha256}. */
    public static boolean isWhole(Path file, String sha256) {
        Sha256 found = new Sha256();
        ByteBuffer bytes = ByteBuffer.allocate(1 << 20);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            while (channel.read(bytes) >= 0) {
                bytes.flip();
                found.add(MemorySegment.ofBuffer(bytes));
                bytes.clear();
            }
        } catch (IOException e) {
            return false;
        }
        return found.hex().equals(sha256);
    }

    private static ByteBuffer buffer(int floats) {
        return ByteBuffer.allocate(Math.multiplyExact(floats, Float.BYTES)).order(ByteOrder.LITTLE_ENDIAN);
    }
}
