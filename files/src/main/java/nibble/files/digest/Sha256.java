package nibble.files.digest;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.function.LongConsumer;

/** Computes SHA-256, as 64 hexadecimal digits in lower case, of bytes that come in parts. */
public final class Sha256 {
    /** Native memory is hashed where it lies, the heap's by way of a buffer: not every array can be seen as bytes. */
    private static final int SLICE_BYTES = 1 << 20;

    private final MessageDigest digest;

    public Sha256() {
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    /** Adds all bytes of {@code data}. */
    public Sha256 add(MemorySegment data) {
        for (long at = 0; at < data.byteSize(); at += SLICE_BYTES) {
            MemorySegment slice = data.asSlice(at, Math.min(SLICE_BYTES, data.byteSize() - at));
            if (data.isNative()) {
                digest.update(slice.asByteBuffer());
            } else {
                digest.update(slice.toArray(ValueLayout.JAVA_BYTE));
            }
        }
        return this;
    }

    /** Adds bytes. */
    public Sha256 add(byte[] bytes) {
        digest.update(bytes);
        return this;
    }

    /** Adds a text's UTF-8 bytes. */
    public Sha256 add(String text) {
        return add(text.getBytes(StandardCharsets.UTF_8));
    }

    /** Returns the hash of all that was added; afterwards this is as new. */
    public String hex() {
        return HexFormat.of().formatHex(digest.digest());
    }

    /** Returns the hash of a file's content. */
    public static String of(Path file) throws IOException {
        return of(file, _ -> {});
    }

    /**
     * Returns the hash of a file's content. Stops early, with an exception, if its thread is interrupted.
     *
     * @param progress told the bytes read since it was last called
     */
    public static String of(Path file, LongConsumer progress) throws IOException {
        Sha256 sha256 = new Sha256();
        ByteBuffer buffer = ByteBuffer.allocateDirect(SLICE_BYTES);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            for (int read = channel.read(buffer); read >= 0; read = channel.read(buffer)) {
                sha256.digest.update(buffer.flip());
                buffer.clear();
                progress.accept(read);
            }
        }
        return sha256.hex();
    }
}
