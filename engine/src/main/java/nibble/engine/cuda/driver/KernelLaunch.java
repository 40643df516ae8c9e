package nibble.engine.cuda.driver;

import static nibble.engine.cuda.driver.ForeignFunctions.INT;
import static nibble.engine.cuda.driver.ForeignFunctions.LONG;
import static nibble.engine.cuda.driver.ForeignFunctions.POINTER;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * {@code cuLaunchKernelEx}, which JCuda lacks: it lets a kernel start before the one ahead of it has ended. Owns the
 * native memory that arguments are laid out in; used by one thread at a time.
 */
final class KernelLaunch implements AutoCloseable {
    private static final int MOST_ARGUMENTS = 64;
    // CUlaunchConfig: grid x y z, block x y z, shared bytes (7 ints), stream, attributes, their number.
    private static final long SHARED_BYTES = 24;
    private static final long STREAM = 32;
    private static final long ATTRIBUTES = 40;
    private static final long ATTRIBUTE_COUNT = 48;
    private static final long CONFIG_BYTES = 56;
    // CUlaunchAttribute: id, padding, a union of 64 bytes.
    private static final long ATTRIBUTE_VALUE = 8;
    private static final long ATTRIBUTE_BYTES = 72;

    /** How a kernel follows the one before it, by the launch attribute that says so. */
    enum Order {
        PLAIN(0),
        /** All blocks at the same time: a cooperative launch. */
        TOGETHER(2);

        private final int attribute;

        Order(int attribute) {
            this.attribute = attribute;
        }
    }

    private final Arena arena = Arena.ofShared();
    private final MemorySegment config = arena.allocate(CONFIG_BYTES, 8);
    private final MemorySegment attribute = arena.allocate(ATTRIBUTE_BYTES, 8);
    private final MemorySegment values = arena.allocate(LONG, MOST_ARGUMENTS);
    private final MemorySegment pointers = arena.allocate(POINTER, MOST_ARGUMENTS);
    private final MethodHandle launch;

    KernelLaunch() {
        launch = new ForeignFunctions("libcuda", CudaLibraries.open(CudaDevice.DRIVER))
                .function("cuLaunchKernelEx", POINTER, LONG, POINTER, POINTER);
        attribute.set(INT, ATTRIBUTE_VALUE, 1);
        config.set(ValueLayout.ADDRESS, ATTRIBUTES, attribute);
    }

    synchronized void run(
            String name,
            long function,
            long stream,
            Kernel.Grid grid,
            int threads,
            int sharedBytes,
            Order order,
            Object... arguments) {
        int[] extents = {grid.x(), grid.y(), grid.z(), threads, 1, 1};
        MemorySegment.copy(extents, 0, config, INT, 0, extents.length);
        config.set(INT, SHARED_BYTES, sharedBytes);
        config.set(LONG, STREAM, stream);
        attribute.set(INT, 0, order.attribute);
        config.set(INT, ATTRIBUTE_COUNT, order == Order.PLAIN ? 0 : 1);
        try (Arena call = Arena.ofConfined()) {
            layOut(name, call, arguments);
            int status = (int) launch.invokeExact(config, function, pointers, MemorySegment.NULL);
            CudaDevice.check(
                    status,
                    "kernel " + name + ", grid " + grid + ", " + threads + " threads, " + sharedBytes
                            + " bytes of shared memory");
        } catch (Throwable e) {
            throw ForeignFunctions.unexpected(e);
        }
    }

    private void layOut(String name, Arena call, Object... arguments) {
        for (int i = 0; i < arguments.length; i++) {
            pointers.setAtIndex(ValueLayout.ADDRESS, i, values.asSlice(8L * i));
            switch (arguments[i]) {
                case KernelStruct struct -> pointers.setAtIndex(ValueLayout.ADDRESS, i, struct(call, struct));
                case Long value -> values.set(LONG, 8L * i, value);
                case Integer value -> values.set(INT, 8L * i, value);
                case Float value -> values.set(ValueLayout.JAVA_FLOAT, 8L * i, value);
                case Double value -> values.set(ValueLayout.JAVA_DOUBLE, 8L * i, value);
                default ->
                    throw new IllegalArgumentException(
                            "kernel " + name + ", argument " + i + ": " + arguments[i].getClass() + " is no argument");
            }
        }
    }

    private static MemorySegment struct(Arena call, KernelStruct struct) {
        byte[] bytes = struct.bytes();
        MemorySegment copy = call.allocate(bytes.length, 16);
        return copy.copyFrom(MemorySegment.ofArray(bytes));
    }

    @Override
    public void close() {
        arena.close();
    }
}
