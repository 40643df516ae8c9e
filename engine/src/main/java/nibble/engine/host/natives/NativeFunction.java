package nibble.engine.host.natives;

import static java.lang.foreign.MemorySegment.NULL;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/**
 * A function of the library, of numbers and of memory. All have one signature: the JDK makes code for each signature,
 * which takes it some ten milliseconds at the start.
 *
 * @param address null where there is no library; the function is not called then
 */
record NativeFunction(MemorySegment address) {
    private static final NativeLibrary.Loaded LIBRARY = NativeLibrary.load();

    private static final MethodHandle CALL = Linker.nativeLinker()
            .downcallHandle(
                    FunctionDescriptor.of(JAVA_LONG, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS),
                    Linker.Option.critical(true));

    private static final long[] NO_NUMBERS = {};

    /** Returns a function by its name in the sources. */
    static NativeFunction of(String name) {
        SymbolLookup symbols = LIBRARY.symbols();
        return new NativeFunction(symbols == null ? NULL : symbols.findOrThrow("nibble_" + name));
    }

    /** Returns why there is no library, or an empty text. */
    static String whyNone() {
        return LIBRARY.reason();
    }

    /** Returns what a function without arguments returns; without the library, another number. */
    static long number(String name, long without) {
        return LIBRARY.symbols() == null ? without : of(name).call(NO_NUMBERS);
    }

    /** Returns a number that the library keeps; without the library, zero. */
    static MemorySegment counter(String name) {
        SymbolLookup symbols = LIBRARY.symbols();
        return symbols == null
                ? MemorySegment.ofArray(new long[1])
                : symbols.findOrThrow("nibble_" + name).reinterpret(JAVA_LONG.byteSize());
    }

    long call(long[] numbers) {
        return call(numbers, NULL, NULL, NULL, NULL, NULL);
    }

    long call(long[] numbers, MemorySegment a) {
        return call(numbers, a, NULL, NULL, NULL, NULL);
    }

    long call(long[] numbers, MemorySegment a, MemorySegment b) {
        return call(numbers, a, b, NULL, NULL, NULL);
    }

    long call(long[] numbers, MemorySegment a, MemorySegment b, MemorySegment c) {
        return call(numbers, a, b, c, NULL, NULL);
    }

    /** Calls it; {@code numbers} are as many as it takes. */
    long call(long[] numbers, MemorySegment a, MemorySegment b, MemorySegment c, MemorySegment d, MemorySegment e) {
        try {
            return (long) CALL.invokeExact(address, MemorySegment.ofArray(numbers), a, b, c, d, e);
        } catch (RuntimeException | Error thrown) {
            throw thrown;
        } catch (Throwable thrown) {
            throw new IllegalStateException(thrown);
        }
    }

    /** Returns the part of an array from an element on. */
    static MemorySegment floats(float[] array, int offset) {
        MemorySegment all = MemorySegment.ofArray(array);
        return offset == 0 ? all : all.asSlice((long) Float.BYTES * offset);
    }
}
