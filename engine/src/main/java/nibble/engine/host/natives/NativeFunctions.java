package nibble.engine.host.natives;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The library's functions as method handles. */
final class NativeFunctions {
    private static final NativeLibrary.Loaded LIBRARY = NativeLibrary.load();
    private static final Linker LINKER = Linker.nativeLinker();

    private NativeFunctions() {}

    static String whyNone() {
        return LIBRARY.reason();
    }

    /** What a function without arguments returns. */
    static long number(String name, long without) {
        SymbolLookup symbols = LIBRARY.symbols();
        if (symbols == null) {
            return without;
        }
        try {
            MethodHandle function = LINKER.downcallHandle(symbols.findOrThrow(name), FunctionDescriptor.of(JAVA_LONG));
            return (long) function.invokeExact();
        } catch (Throwable e) {
            throw failure(e);
        }
    }

    /** A number that the library keeps; without the library, zero. */
    static MemorySegment counter(String name) {
        SymbolLookup symbols = LIBRARY.symbols();
        return symbols == null
                ? MemorySegment.ofArray(new long[1])
                : symbols.findOrThrow(name).reinterpret(JAVA_LONG.byteSize());
    }

    /** A function of numbers that returns one; without the library, one that is never called. */
    static MethodHandle count(String name, int numbers) {
        SymbolLookup symbols = LIBRARY.symbols();
        MemoryLayout[] arguments = new MemoryLayout[numbers];
        Arrays.fill(arguments, JAVA_LONG);
        FunctionDescriptor descriptor = FunctionDescriptor.of(JAVA_LONG, arguments);
        return symbols == null
                ? MethodHandles.empty(descriptor.toMethodType())
                : LINKER.downcallHandle(symbols.findOrThrow(name), descriptor, Linker.Option.critical(false));
    }

    /** A function of numbers, then of memory; without the library, one that is never called. */
    static MethodHandle function(String name, int numbers, int memory) {
        SymbolLookup symbols = LIBRARY.symbols();
        if (symbols == null) {
            return MethodHandles.empty(MethodType.methodType(void.class));
        }
        List<MemoryLayout> arguments = new ArrayList<>();
        for (int i = 0; i < numbers + memory; i++) {
            arguments.add(i < numbers ? JAVA_LONG : ADDRESS);
        }
        return LINKER.downcallHandle(
                symbols.findOrThrow(name),
                FunctionDescriptor.ofVoid(arguments.toArray(MemoryLayout[]::new)),
                Linker.Option.critical(true));
    }

    static RuntimeException failure(Throwable e) {
        if (e instanceof RuntimeException runtime) {
            return runtime;
        }
        if (e instanceof Error error) {
            throw error;
        }
        return new IllegalStateException(e);
    }

    /** The part of an array from an element on. */
    static MemorySegment floats(float[] array, int offset) {
        MemorySegment all = MemorySegment.ofArray(array);
        return offset == 0 ? all : all.asSlice(4L * offset);
    }
}
