package nibble.files.digest;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** SHA-256 of what is too large for one array, as hexadecimal text. */
public final class Sha256 {
    /** Native memory is hashed where it lies, the heap's by way of a buffer: not every array can be seen as bytes. */
    private static final long SLICE_BYTES = 1L << 20;

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

    /** Returns the hash of all that was added; afterwards this is as new. */
    public String hex() {
        return HexFormat.of().formatHex(digest.digest());
    }

    /** Returns the hash of a file's content. */
    public static String of(Path file) throws IOException {
        Sha256 sha256 = new Sha256();
        byte[] buffer = new byte[1 << 16];
        try (InputStream in = Files.newInputStream(file)) {
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                sha256.digest.update(buffer, 0, n);
            }
        }
        return sha256.hex();
    }
}
