package nibble.engine.cuda.driver;

import static jcuda.driver.JCudaDriver.cuMemFreeHost;
import static jcuda.driver.JCudaDriver.cuMemHostAlloc;
import static jcuda.driver.JCudaDriver.cuMemcpyDtoHAsync;
import static jcuda.driver.JCudaDriver.cuMemcpyHtoDAsync;

import java.lang.foreign.MemorySegment;
import jcuda.Pointer;

/** Holds host memory that the card reads and writes by itself. Owns it. */
public final class PinnedMemory implements AutoCloseable {
    private final Pointer pointer = new Pointer();
    private final MemorySegment segment;

    /**
     * Allocates the memory.
     *
     * @param bytes at most 1 GiB
     */
    public PinnedMemory(int bytes) {
        CudaDevice.check(cuMemHostAlloc(pointer, bytes, 0), "pinning " + bytes + " bytes of host memory");
        segment = MemorySegment.ofBuffer(pointer.getByteBuffer(0, bytes).order(java.nio.ByteOrder.nativeOrder()));
    }

    public MemorySegment segment() {
        return segment;
    }

    public int bytes() {
        return (int) segment.byteSize();
    }

    public void toDevice(DeviceMemory.Buffer target, long offset, long bytes, CudaStream stream) {
        CudaDevice.check(
                cuMemcpyHtoDAsync(target.pointer(offset), pointer, bytes, stream.stream()), "copying to the card");
    }

    /** Copies from some byte on. */
    public void toDevice(long from, DeviceMemory.Buffer target, long offset, long bytes, CudaStream stream) {
        java.util.Objects.checkFromIndexSize(from, bytes, segment.byteSize());
        CudaDevice.check(
                cuMemcpyHtoDAsync(target.pointer(offset), pointer.withByteOffset(from), bytes, stream.stream()),
                "copying to the card");
    }

    public void fromDevice(DeviceMemory.Buffer source, long offset, long bytes, CudaStream stream) {
        CudaDevice.check(
                cuMemcpyDtoHAsync(pointer, source.pointer(offset), bytes, stream.stream()), "copying from the card");
    }

    @Override
    public void close() {
        CudaDevice.check(cuMemFreeHost(pointer), "freeing pinned memory");
    }
}
