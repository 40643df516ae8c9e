package nibble.checkpoint.safetensors;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** Writes memory of any kind and size to a place in a file. Used by one thread at a time. */
final class SegmentWriter {
    /** A native slice is handed to the system as it is; larger ones gain nothing. */
    private static final int SLICE_BYTES = 64 << 20;

    /**
     * Heap data is copied through a buffer of this size, as the JDK would keep one as large as the slice for each
     * thread.
     */
    private static final int STAGING_BYTES = 1 << 20;

    private final ByteBuffer staging = ByteBuffer.allocateDirect(STAGING_BYTES);

    void write(MemorySegment data, FileChannel channel, long at) throws IOException {
        long done = 0;
        while (done < data.byteSize()) {
            long left = data.byteSize() - done;
            int slice;
            if (data.isNative()) {
                slice = (int) Math.min(left, SLICE_BYTES);
                writeFully(channel, data.asSlice(done, slice).asByteBuffer(), at + done);
            } else {
                slice = (int) Math.min(left, STAGING_BYTES);
                staging.clear().limit(slice);
                MemorySegment.copy(data, done, MemorySegment.ofBuffer(staging), 0, slice);
                writeFully(channel, staging, at + done);
            }
            done += slice;
        }
    }

    static void writeFully(FileChannel channel, ByteBuffer bytes, long at) throws IOException {
        long next = at;
        while (bytes.hasRemaining()) {
            next += channel.write(bytes, next);
        }
    }
}
