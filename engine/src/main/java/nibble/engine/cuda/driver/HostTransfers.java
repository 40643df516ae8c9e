package nibble.engine.cuda.driver;

import java.lang.foreign.MemorySegment;

/**
 * Copies between the heap and the card through a pinned piece, in the order of one stream; each is done when the call
 * returns. Owns the piece.
 */
public final class HostTransfers implements AutoCloseable {
    private static final int STAGING_BYTES = 32 << 20;

    private final CudaStream stream;
    private final PinnedMemory staging = new PinnedMemory(STAGING_BYTES);

    public HostTransfers(CudaStream stream) {
        this.stream = stream;
    }

    public void bring(MemorySegment values, DeviceMemory.Buffer to) {
        bring(values, to, 0);
    }

    /**
     * Copies from the host to the card.
     *
     * @param offset bytes into {@code to}
     */
    public void bring(MemorySegment values, DeviceMemory.Buffer to, long offset) {
        for (long done = 0; done < values.byteSize(); done += STAGING_BYTES) {
            long bytes = Math.min(STAGING_BYTES, values.byteSize() - done);
            MemorySegment.copy(values, done, staging.segment(), 0, bytes);
            staging.toDevice(to, offset + done, bytes, stream);
            stream.synchronize();
        }
    }

    /**
     * Copies from the card to the host.
     *
     * @param offset bytes into {@code from}
     */
    public void fetch(DeviceMemory.Buffer from, long offset, MemorySegment values) {
        for (long done = 0; done < values.byteSize(); done += STAGING_BYTES) {
            long bytes = Math.min(STAGING_BYTES, values.byteSize() - done);
            staging.fromDevice(from, offset + done, bytes, stream);
            stream.synchronize();
            MemorySegment.copy(staging.segment(), 0, values, done, bytes);
        }
    }

    public float[] floats(DeviceMemory.Buffer from, int count) {
        float[] values = new float[count];
        fetch(from, 0, MemorySegment.ofArray(values));
        return values;
    }

    public double[] doubles(DeviceMemory.Buffer from, int count) {
        double[] values = new double[count];
        fetch(from, 0, MemorySegment.ofArray(values));
        return values;
    }

    public byte[] bytes(DeviceMemory.Buffer from, int count) {
        byte[] values = new byte[count];
        fetch(from, 0, MemorySegment.ofArray(values));
        return values;
    }

    @Override
    public void close() {
        staging.close();
    }
}
