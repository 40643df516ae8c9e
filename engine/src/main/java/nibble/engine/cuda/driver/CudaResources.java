package nibble.engine.cuda.driver;

/**
 * Holds what every operation on a card uses: the device, its memory, one stream that all work goes into, compiled
 * kernels, cuBLAS and copies between host and card. Used by one thread at a time. Owns all of it.
 */
public final class CudaResources implements AutoCloseable {
    private static final long WORKSPACE_BYTES = 64L << 20;

    private final CudaDevice device;
    private final DeviceMemory memory;
    private final CudaStream stream = new CudaStream();
    private final KernelCache kernels;
    private final Cublas cublas;
    private final HostTransfers transfers = new HostTransfers(stream);

    private CudaResources(CudaDevice device, long memoryLimit) {
        this.device = device;
        this.memory = new DeviceMemory("cuda:" + device.ordinal(), memoryLimit);
        this.kernels = new KernelCache(device);
        DeviceMemory.Buffer workspace = memory.allocate(WORKSPACE_BYTES, "cuBLAS's workspace");
        this.cublas = new Cublas(stream.address(), workspace.address(), WORKSPACE_BYTES);
    }

    /**
     * Opens a card.
     *
     * @param ordinal as in {@code cuda:0}
     * @param memoryLimit most bytes to take of the card
     * @throws nibble.engine.backend.DeviceException if there is no such card, driver or library
     */
    public static CudaResources open(int ordinal, long memoryLimit) {
        return new CudaResources(CudaDevice.open(ordinal), memoryLimit);
    }

    public CudaDevice device() {
        return device;
    }

    public DeviceMemory memory() {
        return memory;
    }

    public CudaStream stream() {
        return stream;
    }

    public KernelCache kernels() {
        return kernels;
    }

    public Cublas cublas() {
        return cublas;
    }

    public HostTransfers transfers() {
        return transfers;
    }

    /** Makes the card current for the calling thread. */
    public void makeCurrent() {
        device.bind();
    }

    /** Waits until all work on the card is done. */
    public void synchronize() {
        device.synchronize();
    }

    @Override
    public void close() {
        cublas.close();
        kernels.close();
        transfers.close();
        memory.close();
        stream.close();
        device.close();
    }
}
