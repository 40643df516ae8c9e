package nibble.files.digest;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.zip.CRC32C;

/** Computes CRC-32C of what is too large for one array: tells damage and change, not forgery, at the memory's speed. */
public final class Crc32c {
    private static final long SLICE_BYTES = 1L << 20;

    private final CRC32C crc = new CRC32C();

    /** Adds all bytes of {@code data}. */
    public Crc32c add(MemorySegment data) {
        for (long at = 0; at < data.byteSize(); at += SLICE_BYTES) {
            MemorySegment slice = data.asSlice(at, Math.min(SLICE_BYTES, data.byteSize() - at));
            if (data.isNative()) {
                crc.update(slice.asByteBuffer());
            } else {
                crc.update(slice.toArray(ValueLayout.JAVA_BYTE));
            }
        }
        return this;
    }

    /** Returns the checksum of all that was added; afterwards this is as new. */
    public String hex() {
        String hex = String.format("%08x", crc.getValue());
        crc.reset();
        return hex;
    }
}
