package nibble.engine.cuda.driver;

import static jcuda.driver.JCudaDriver.cuMemAlloc;
import static jcuda.driver.JCudaDriver.cuMemFree;
import static jcuda.driver.JCudaDriver.cuMemGetInfo;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUresult;
import nibble.engine.backend.DeviceException;
import org.jspecify.annotations.Nullable;

/**
 * Counts and limits the memory of a card. Buffers given back are kept for the next of their size, because the driver
 * takes its time: so a buffer may only be closed where all work that uses it was put into the one stream that its next
 * user is put into, or is done. Owns all of it.
 */
public final class DeviceMemory implements AutoCloseable {
    private static final long FINE = 512;
    private static final long COARSE = 2L << 20;

    /** An address that JCuda takes and that can be read. */
    private static final class Address extends CUdeviceptr {
        Address() {}

        Address(CUdeviceptr base, long offset) {
            super(base, offset);
        }

        long value() {
            return getNativePointer() + getByteOffset();
        }
    }

    /** Holds a piece of device memory. Owned by whoever asked for it. */
    public final class Buffer implements AutoCloseable {
        private final Address pointer;
        private final long bytes;
        private boolean open = true;

        private Buffer(Address pointer, long bytes) {
            this.pointer = pointer;
            this.bytes = bytes;
        }

        public long address() {
            if (!open) {
                throw new IllegalStateException("device memory of " + bytes + " bytes is given back already");
            }
            return pointer.value();
        }

        public CUdeviceptr pointer(long offset) {
            address();
            return new Address(pointer, offset);
        }

        /** Returns the bytes, rounded up as allocated. */
        public long bytes() {
            return bytes;
        }

        @Override
        public void close() {
            if (open) {
                open = false;
                free(this);
            }
        }
    }

    /**
     * Keeps the buffers that are given back while work is recorded into a graph, for nobody but later work of the same
     * graphs: running a graph writes to them again. Closed after the graphs.
     */
    public final class Recording implements AutoCloseable {
        private final Map<Long, Deque<Address>> kept = new HashMap<>();
        private final Set<Buffer> made = new HashSet<>();

        private Recording() {}

        /** Makes buffers stay here from now on until {@link #end()}. */
        public void begin() {
            synchronized (DeviceMemory.this) {
                recording = this;
            }
        }

        public void end() {
            synchronized (DeviceMemory.this) {
                recording = null;
                made.clear();
            }
        }

        private @Nullable Address poll(long size) {
            Deque<Address> addresses = kept.get(size);
            return addresses == null ? null : addresses.poll();
        }

        @Override
        public void close() {
            synchronized (DeviceMemory.this) {
                kept.forEach((size, addresses) -> addresses.forEach(address -> spare(address, size)));
                kept.clear();
            }
        }
    }

    private final String device;
    private final long limit;
    private final Map<Long, Deque<Address>> spare = new HashMap<>();
    private final Set<Buffer> live = new HashSet<>();
    private long taken;
    private @Nullable Recording recording;
    private long spareBytes;
    private long peak;

    /**
     * Starts to count the memory of a card.
     *
     * @param device name for messages
     * @param limit most bytes to take of the card
     */
    public DeviceMemory(String device, long limit) {
        this.device = device;
        this.limit = limit;
    }

    /**
     * Allocates memory.
     *
     * @param purpose for the message when there is not enough
     * @throws DeviceException if neither the card nor the limit has room
     */
    public synchronized Buffer allocate(long bytes, String purpose) {
        long size = rounded(Math.max(1, bytes));
        Recording now = recording;
        Address address = now == null ? null : now.poll(size);
        if (address == null) {
            Deque<Address> kept = spare.get(size);
            address = kept == null ? null : kept.poll();
            if (address != null) {
                spareBytes -= size;
            } else {
                address = take(size, purpose);
            }
        }
        Buffer buffer = new Buffer(address, size);
        live.add(buffer);
        if (now != null) {
            now.made.add(buffer);
        }
        return buffer;
    }

    private Address take(long size, String purpose) {
        if (taken + size > limit) {
            trim();
        }
        if (taken + size > limit) {
            throw new DeviceException(device + ": " + megabytes(size) + " asked for " + purpose + ", "
                    + megabytes(limit - taken) + " left of the " + megabytes(limit)
                    + " that --max-device-memory allows; allow more, or lower --context or --seq-len");
        }
        Address address = new Address();
        int status = cuMemAlloc(address, size);
        if (status == CUresult.CUDA_ERROR_OUT_OF_MEMORY && spareBytes > 0) {
            trim();
            status = cuMemAlloc(address, size);
        }
        if (status == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
            throw new DeviceException(device + ": out of memory: " + megabytes(size) + " asked for " + purpose + ", "
                    + megabytes(free()) + " free, " + megabytes(taken)
                    + " taken by this process; lower --context or --seq-len, or stop what else uses the card");
        }
        CudaDevice.check(status, "allocating " + size + " bytes for " + purpose);
        taken += size;
        peak = Math.max(peak, taken);
        return address;
    }

    private synchronized void free(Buffer buffer) {
        if (live.remove(buffer)) {
            Recording now = recording;
            if (now != null && now.made.remove(buffer)) {
                now.kept.computeIfAbsent(buffer.bytes, _ -> new ArrayDeque<>()).push(buffer.pointer);
            } else {
                spare(buffer.pointer, buffer.bytes);
            }
        }
    }

    private void spare(Address address, long size) {
        spare.computeIfAbsent(size, _ -> new ArrayDeque<>()).push(address);
        spareBytes += size;
    }

    /** Returns a keeper for the buffers of graphs; the caller's. */
    public Recording recording() {
        return new Recording();
    }

    /** Gives kept buffers back to the driver; waits for the card. */
    synchronized void trim() {
        spare.forEach((size, addresses) -> {
            for (Address address : addresses) {
                CudaDevice.check(cuMemFree(address), "freeing " + size + " bytes");
                taken -= size;
            }
        });
        spare.clear();
        spareBytes = 0;
    }

    /** Returns the bytes that can still be taken: what is free on the card within the limit, and what is kept. */
    public synchronized long available() {
        return Math.min(limit - taken, free()) + spareBytes;
    }

    /** Returns the bytes that can be taken in all: {@link #available} and what is in use. */
    public synchronized long room() {
        return available() + used();
    }

    /** Returns the bytes in use, those kept for reuse left out. */
    public synchronized long used() {
        return taken - spareBytes;
    }

    /** Returns the most bytes that were ever taken. */
    public synchronized long peak() {
        return peak;
    }

    private static long free() {
        long[] free = new long[1];
        long[] total = new long[1];
        CudaDevice.check(cuMemGetInfo(free, total), "reading free memory");
        return free[0];
    }

    /** Returns the bytes that {@code bytes} take. */
    public static long rounded(long bytes) {
        long unit = bytes < COARSE / 2 ? FINE : COARSE;
        return (bytes + unit - 1) / unit * unit;
    }

    private static String megabytes(long bytes) {
        return String.format(java.util.Locale.ROOT, "%.1f MB", bytes / 1e6);
    }

    @Override
    public synchronized void close() {
        for (Buffer buffer : Set.copyOf(live)) {
            buffer.close();
        }
        trim();
    }
}
