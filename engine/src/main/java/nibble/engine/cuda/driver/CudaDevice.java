package nibble.engine.cuda.driver;

import static jcuda.driver.JCudaDriver.cuCtxEnablePeerAccess;
import static jcuda.driver.JCudaDriver.cuCtxSetCurrent;
import static jcuda.driver.JCudaDriver.cuCtxSynchronize;
import static jcuda.driver.JCudaDriver.cuDeviceCanAccessPeer;
import static jcuda.driver.JCudaDriver.cuDeviceGet;
import static jcuda.driver.JCudaDriver.cuDeviceGetAttribute;
import static jcuda.driver.JCudaDriver.cuDeviceGetCount;
import static jcuda.driver.JCudaDriver.cuDeviceGetName;
import static jcuda.driver.JCudaDriver.cuDevicePrimaryCtxRelease;
import static jcuda.driver.JCudaDriver.cuDevicePrimaryCtxRetain;
import static jcuda.driver.JCudaDriver.cuGetErrorString;
import static jcuda.driver.JCudaDriver.cuInit;
import static jcuda.driver.JCudaDriver.cuMemcpyPeerAsync;

import java.nio.charset.StandardCharsets;
import java.util.Locale;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUresult;
import nibble.engine.backend.DeviceException;
import nibble.files.Reasons;

/** Describes one card: its primary context and what it can do. Owns a share of the context. */
public final class CudaDevice implements AutoCloseable {
    static final String DRIVER = "libcuda.so.1";

    private final int ordinal;
    private final CUdevice device = new CUdevice();
    private final CUcontext context = new CUcontext();
    private final String name;
    private final int multiprocessors;
    private static final int WARPGROUPS = 90;

    private final int capability;
    private final int sharedBytesPerBlock;
    private final int sharedBytesPerMultiprocessor;

    private CudaDevice(int ordinal) {
        this.ordinal = ordinal;
        check(cuDeviceGet(device, ordinal), "cuda:" + ordinal);
        byte[] text = new byte[256];
        check(cuDeviceGetName(text, text.length, device), "name of cuda:" + ordinal);
        this.name = new String(text, StandardCharsets.UTF_8).trim().replace("\0", "");
        this.multiprocessors = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        this.capability = 10 * attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
                + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
        this.sharedBytesPerBlock = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
        this.sharedBytesPerMultiprocessor =
                attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
        if (capability < 80) {
            throw new DeviceException("cuda:" + ordinal + " (" + name + ") has compute capability " + capability / 10
                    + "." + capability % 10 + ", 8.0 or newer is needed; use --device cpu");
        }
        check(cuDevicePrimaryCtxRetain(context, device), "context of cuda:" + ordinal);
        bind();
    }

    /** Says why no card can be used, in an empty text if one can. */
    public static String missing() {
        try {
            CudaLibraries.open(DRIVER);
        } catch (IllegalArgumentException e) {
            return DRIVER + " not found on the loader's path: no NVIDIA driver is installed here";
        }
        try {
            JCudaLibrary.load();
            int status = cuInit(0);
            if (status != 0) {
                return "the NVIDIA driver refuses: " + error(status);
            }
        } catch (LinkageError e) {
            // The second try fails by another error than the first: the class was not initialized.
            Throwable inner = e.getCause();
            Throwable cause = inner == null ? e : inner;
            // JCuda's message goes on with a page of advice.
            return "JCuda's native library cannot be loaded by way of " + System.getProperty("java.io.tmpdir") + ": "
                    + Reasons.of(cause).lines().findFirst().orElse("")
                    + "; set TMPDIR to a folder that may hold programs";
        }
        int[] count = new int[1];
        check(cuDeviceGetCount(count), "counting cards");
        return count[0] == 0 ? "the NVIDIA driver sees no card" : "";
    }

    /**
     * Opens a card.
     *
     * @throws DeviceException if there is no such card, or it is too old
     */
    public static CudaDevice open(int ordinal) {
        String missing = missing();
        if (!missing.isEmpty()) {
            throw new DeviceException("device cuda:" + ordinal + ": " + missing + "; use --device cpu");
        }
        int[] count = new int[1];
        check(cuDeviceGetCount(count), "counting cards");
        if (ordinal < 0 || ordinal >= count[0]) {
            throw new DeviceException("device cuda:" + ordinal + ": this machine has cuda:0 to cuda:" + (count[0] - 1));
        }
        return new CudaDevice(ordinal);
    }

    /** Makes this card the one that the calling thread talks to. */
    public void bind() {
        check(cuCtxSetCurrent(context), "switching to cuda:" + ordinal);
    }

    /** Lets copies from another card go the direct way, where there is one. */
    public void reach(CudaDevice other) {
        int[] possible = new int[1];
        check(
                cuDeviceCanAccessPeer(possible, device, other.device),
                "asking whether " + name + " reaches its neighbour");
        if (possible[0] != 0) {
            bind();
            int status = cuCtxEnablePeerAccess(other.context, 0);
            if (status != CUresult.CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED) {
                check(status, "reaching cuda:" + other.ordinal + " from cuda:" + ordinal);
            }
        }
    }

    /** Puts a copy from another card into a stream of this one. */
    public void copyFrom(CudaDevice other, CUdeviceptr source, CUdeviceptr target, long bytes, CudaStream stream) {
        check(
                cuMemcpyPeerAsync(target, context, source, other.context, bytes, stream.stream()),
                "copying from cuda:" + other.ordinal + " to cuda:" + ordinal);
    }

    /** Does the same with addresses. */
    public void copyFrom(CudaDevice other, long source, long target, long bytes, CudaStream stream) {
        CUdeviceptr nowhere = new CUdeviceptr();
        copyFrom(other, nowhere.withByteOffset(source), nowhere.withByteOffset(target), bytes, stream);
    }

    /** Waits for all that was asked of the card. */
    public void synchronize() {
        check(cuCtxSynchronize(), "waiting for cuda:" + ordinal);
    }

    /** Describes the card: its name, compute capability and multiprocessors. */
    public String description() {
        return String.format(
                Locale.ROOT,
                "%s, compute capability %d.%d, %d multiprocessors",
                name,
                capability / 10,
                capability % 10,
                multiprocessors);
    }

    public int ordinal() {
        return ordinal;
    }

    public String name() {
        return name;
    }

    public int multiprocessors() {
        return multiprocessors;
    }

    /** Returns the compute capability times ten, as 90. */
    public int capability() {
        return capability;
    }

    /** Returns whether warpgroups multiply together: {@code wgmma}, which one generation of cards has. */
    public boolean hasWarpgroups() {
        return capability == WARPGROUPS;
    }

    /** Returns the most shared memory a block can have, in bytes. */
    public int sharedBytesPerBlock() {
        return sharedBytesPerBlock;
    }

    public int sharedBytesPerMultiprocessor() {
        return sharedBytesPerMultiprocessor;
    }

    /** What the compiler calls it: {@code sm_90a} where it has instructions of its own, else as {@code sm_89}. */
    String architecture() {
        return "sm_" + capability + (hasWarpgroups() ? "a" : "");
    }

    private int attribute(int which) {
        int[] value = new int[1];
        check(cuDeviceGetAttribute(value, which, device), "attribute " + which + " of cuda:" + ordinal);
        return value[0];
    }

    public static void check(int status, String what) {
        if (status != 0) {
            throw new DeviceException("CUDA, " + what + ": " + error(status));
        }
    }

    private static String error(int status) {
        String[] text = new String[1];
        return cuGetErrorString(status, text) == 0 ? text[0] + " (" + status + ")" : "error " + status;
    }

    @Override
    public void close() {
        check(cuDevicePrimaryCtxRelease(device), "releasing cuda:" + ordinal);
    }
}
