package nibble.engine.cuda.driver;

import static jcuda.driver.JCudaDriver.cuEventCreate;
import static jcuda.driver.JCudaDriver.cuEventDestroy;
import static jcuda.driver.JCudaDriver.cuEventElapsedTime;
import static jcuda.driver.JCudaDriver.cuEventRecord;
import static jcuda.driver.JCudaDriver.cuEventSynchronize;
import static jcuda.driver.JCudaDriver.cuStreamCreate;
import static jcuda.driver.JCudaDriver.cuStreamDestroy;
import static jcuda.driver.JCudaDriver.cuStreamSynchronize;
import static jcuda.driver.JCudaDriver.cuStreamWaitEvent;

import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;

/** Holds a queue of work on a card: what is put into it runs in order. */
public final class CudaStream implements AutoCloseable {
    /** JCuda keeps the native handle to itself; functions called through java.lang.foreign need it. */
    private static final class Handle extends CUstream {
        public long address() {
            return getNativePointer();
        }
    }

    /** Marks a point in a stream that another stream, or the host, can wait for. */
    public static final class Event implements AutoCloseable {
        private final CUevent event = new CUevent();

        public Event() {
            CudaDevice.check(cuEventCreate(event, CUevent_flags.CU_EVENT_DEFAULT), "event");
        }

        public void synchronize() {
            CudaDevice.check(cuEventSynchronize(event), "waiting for an event");
        }

        /** Returns the milliseconds from {@code start} to this; both have been reached. */
        public float millisecondsSince(Event start) {
            float[] elapsed = new float[1];
            CudaDevice.check(cuEventElapsedTime(elapsed, start.event, event), "time between events");
            return elapsed[0];
        }

        @Override
        public void close() {
            CudaDevice.check(cuEventDestroy(event), "destroying an event");
        }
    }

    private final Handle stream = new Handle();

    public CudaStream() {
        CudaDevice.check(cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING), "stream");
    }

    public CUstream stream() {
        return stream;
    }

    public long address() {
        return stream.address();
    }

    public void record(Event event) {
        CudaDevice.check(cuEventRecord(event.event, stream), "recording an event");
    }

    public void waitFor(Event event) {
        CudaDevice.check(cuStreamWaitEvent(stream, event.event, 0), "waiting for an event");
    }

    public void synchronize() {
        CudaDevice.check(cuStreamSynchronize(stream), "waiting for a stream");
    }

    @Override
    public void close() {
        CudaDevice.check(cuStreamDestroy(stream), "destroying a stream");
    }
}
