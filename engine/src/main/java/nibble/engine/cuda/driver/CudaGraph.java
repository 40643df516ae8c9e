package nibble.engine.cuda.driver;

import static jcuda.driver.JCudaDriver.cuGraphDestroy;
import static jcuda.driver.JCudaDriver.cuGraphExecDestroy;
import static jcuda.driver.JCudaDriver.cuGraphInstantiate;
import static jcuda.driver.JCudaDriver.cuGraphLaunch;
import static jcuda.driver.JCudaDriver.cuStreamBeginCapture;
import static jcuda.driver.JCudaDriver.cuStreamEndCapture;

import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUstreamCaptureMode;

/**
 * Holds work that was recorded from a stream, which one call puts into a stream again. It holds addresses: their
 * buffers must outlive it.
 */
public final class CudaGraph implements AutoCloseable {
    private final CUgraph graph = new CUgraph();
    private final CUgraphExec executable = new CUgraphExec();

    private CudaGraph() {}

    /**
     * Records what {@code work} puts into the stream, without running it.
     *
     * @param name for messages
     */
    public static CudaGraph record(CudaStream stream, String name, Runnable work) {
        CudaGraph recorded = new CudaGraph();
        stream.synchronize();
        CudaDevice.check(
                cuStreamBeginCapture(stream.stream(), CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED),
                "capturing " + name);
        boolean whole = false;
        try {
            work.run();
            whole = true;
        } finally {
            int status = cuStreamEndCapture(stream.stream(), recorded.graph);
            if (whole) {
                CudaDevice.check(status, "capturing " + name);
            }
        }
        CudaDevice.check(cuGraphInstantiate(recorded.executable, recorded.graph, 0), "making a graph of " + name);
        return recorded;
    }

    public void launch(CudaStream stream) {
        CudaDevice.check(cuGraphLaunch(executable, stream.stream()), "running a graph");
    }

    /** Frees it; what was launched must be done. */
    @Override
    public void close() {
        CudaDevice.check(cuGraphExecDestroy(executable), "destroying a graph");
        CudaDevice.check(cuGraphDestroy(graph), "destroying a graph");
    }
}
