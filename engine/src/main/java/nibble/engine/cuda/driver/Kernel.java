package nibble.engine.cuda.driver;

import static jcuda.driver.JCudaDriver.cuFuncSetAttribute;

import jcuda.driver.CUfunction;

/** Holds a compiled kernel. */
public final class Kernel {
    /** JCuda keeps the native handle to itself; launching needs it. */
    static final class Function extends CUfunction {
        long address() {
            return getNativePointer();
        }
    }

    /** Counts the blocks of a launch. */
    public record Grid(int x, int y, int z) {
        public static Grid of(long blocks) {
            return new Grid(Math.toIntExact(blocks), 1, 1);
        }
    }

    private static final int MAX_DYNAMIC_SHARED_SIZE_BYTES = 8;
    /** What a block may have without asking. */
    private static final int PLAIN_SHARED_BYTES = 48 * 1024;

    private final String name;
    private final Function function;
    private final KernelLaunch launch;
    private int sharedAllowed = PLAIN_SHARED_BYTES;

    Kernel(String name, Function function, KernelLaunch launch) {
        this.name = name;
        this.function = function;
        this.launch = launch;
    }

    /**
     * Puts the kernel into the stream.
     *
     * @param sharedBytes dynamic shared memory of a block
     * @param arguments in the kernel's order: Long for addresses and long long, Integer for int, Float for float,
     *     {@link KernelStruct} for a struct
     */
    public void launch(CudaStream stream, Grid grid, int threads, int sharedBytes, Object... arguments) {
        launch(stream, grid, threads, sharedBytes, KernelLaunch.Order.PLAIN, arguments);
    }

    /** Does what {@link #launch} does, with all blocks on the card at the same time: they may wait for each other. */
    public void launchTogether(CudaStream stream, Grid grid, int threads, int sharedBytes, Object... arguments) {
        launch(stream, grid, threads, sharedBytes, KernelLaunch.Order.TOGETHER, arguments);
    }

    /** Lets blocks have this much shared memory; launches ask for it themselves, but not while a stream is captured. */
    public void allowShared(int sharedBytes) {
        if (sharedBytes > sharedAllowed) {
            CudaDevice.check(
                    cuFuncSetAttribute(function, MAX_DYNAMIC_SHARED_SIZE_BYTES, sharedBytes),
                    "kernel " + name + " with " + sharedBytes + " bytes of shared memory");
            sharedAllowed = sharedBytes;
        }
    }

    private void launch(
            CudaStream stream, Grid grid, int threads, int sharedBytes, KernelLaunch.Order order, Object... arguments) {
        allowShared(sharedBytes);
        if (grid.x() == 0 || grid.y() == 0 || grid.z() == 0) {
            return;
        }
        launch.run(name, function.address(), stream.address(), grid, threads, sharedBytes, order, arguments);
    }
}
