package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import nibble.engine.backend.Workers;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.PinnedMemory;

/**
 * Bytes of the host, mapped files among them, to the card: copied by all cores into a ring of pinned pieces, from where
 * the card fetches one while the next is filled. Owns the ring; used by one thread at a time.
 */
final class UploadRing implements AutoCloseable {
    private static final int PIECES = 3;
    private static final int PIECE_BYTES = 64 << 20;
    /** What a core copies at a time. */
    private static final long SLICE_BYTES = 4L << 20;

    private record Piece(PinnedMemory memory, CudaStream.Event free) {}

    private final Workers workers;
    private final List<Piece> ring = new ArrayList<>();
    private int next;

    UploadRing(Workers workers) {
        this.workers = workers;
    }

    /**
     * Puts the copy of {@code source} to byte {@code offset} of {@code target} into the stream; {@code source} has been
     * read when this returns.
     */
    void copy(MemorySegment source, DeviceMemory.Buffer target, long offset, CudaStream stream) {
        for (long done = 0; done < source.byteSize(); done += PIECE_BYTES) {
            long bytes = Math.min(PIECE_BYTES, source.byteSize() - done);
            Piece piece = piece();
            piece.free.synchronize();
            fill(source, done, bytes, piece.memory.segment());
            piece.memory.toDevice(target, offset + done, bytes, stream);
            stream.record(piece.free);
        }
    }

    private void fill(MemorySegment source, long from, long bytes, MemorySegment to) {
        int slices = (int) ((bytes + SLICE_BYTES - 1) / SLICE_BYTES);
        workers.forEach(slices, i -> {
            long at = i * SLICE_BYTES;
            MemorySegment.copy(source, from + at, to, at, Math.min(SLICE_BYTES, bytes - at));
        });
    }

    private Piece piece() {
        if (ring.size() < PIECES) {
            ring.add(new Piece(new PinnedMemory(PIECE_BYTES), new CudaStream.Event()));
            return ring.getLast();
        }
        Piece piece = ring.get(next);
        next = (next + 1) % PIECES;
        return piece;
    }

    @Override
    public void close() {
        for (Piece piece : ring) {
            piece.free.synchronize();
            piece.memory.close();
            piece.free.close();
        }
        ring.clear();
    }
}
