package nibble.engine.cuda.driver;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import nibble.engine.backend.DeviceException;

/**
 * Finds C functions of a library; all of them return an int status unless said otherwise. Handles and device addresses
 * are longs.
 */
public final class ForeignFunctions {
    public static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    static final ValueLayout POINTER = ValueLayout.ADDRESS;

    private final String origin;
    private final SymbolLookup symbols;

    ForeignFunctions(String library, SymbolLookup symbols) {
        origin = library;
        this.symbols = symbols;
    }

    MethodHandle function(String name, MemoryLayout... arguments) {
        return function(name, FunctionDescriptor.of(INT, arguments));
    }

    MethodHandle function(String name, FunctionDescriptor descriptor) {
        return Linker.nativeLinker()
                .downcallHandle(
                        symbols.find(name)
                                .orElseThrow(() -> new DeviceException(
                                        origin + " has no function " + name + "; CUDA 12 or 13 is needed")),
                        descriptor);
    }

    /** What a method handle may throw becomes unchecked: a C function throws nothing. */
    static RuntimeException unexpected(Throwable e) {
        if (e instanceof RuntimeException runtime) {
            return runtime;
        }
        if (e instanceof Error error) {
            throw error;
        }
        return new IllegalStateException("a call into a CUDA library failed", e);
    }
}
