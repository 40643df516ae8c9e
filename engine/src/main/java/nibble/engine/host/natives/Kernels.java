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
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import nibble.checkpoint.gguf.GgufType;
import org.jspecify.annotations.Nullable;

/**
 * The library's functions for one instruction set. Arguments are checked here: the functions themselves check nothing.
 *
 * <p>A call takes some nanoseconds, since it passes arrays of the heap and leaves the thread in Java's state. So it
 * must be short, and a garbage collection waits for it.
 */
public final class Kernels {
    private static final NativeLibrary.Loaded LIBRARY = NativeLibrary.load();
    private static final Linker LINKER = Linker.nativeLinker();

    private static final MethodHandle PREPARE = function("nibble_prepare", 3, 2);
    private static final MethodHandle ROWS = function("nibble_rows", 7, 2);
    private static final MethodHandle CODES = function("nibble_codes", 11, 2);

    /** Names of the sets, by the library's numbers. */
    private static final List<String> NAMES = System.getProperty("os.arch", "").matches("amd64|x86_64")
            ? List.of("AVX2", "AVX-512")
            : List.of("NEON", "NEON with dot products");

    private static final int BEST = best();

    private final int set;

    private Kernels(int set) {
        this.set = set;
    }

    /** Returns those of the machine's best instruction set, or none where {@link #whyNone} says why. */
    public static @Nullable Kernels ofMachine() {
        return BEST < 0 ? null : new Kernels(BEST);
    }

    /** Returns those of every instruction set that the machine has, the best first. */
    public static List<Kernels> all() {
        return IntStream.rangeClosed(0, BEST)
                .mapToObj(set -> new Kernels(BEST - set))
                .toList();
    }

    /** Returns why there are none, or an empty text. */
    public static String whyNone() {
        return BEST < 0 && LIBRARY.reason().isEmpty() ? "the processor lacks " + NAMES.getFirst() : LIBRARY.reason();
    }

    /** Returns the name of the instruction set. */
    public String name() {
        return NAMES.get(set);
    }

    /** Room of a row of activations prepared for rows of blocks. */
    public static int preparedFloats(int columns) {
        return columns + columns / 32 + columns / 16;
    }

    /**
     * Prepares activations for rows of blocks.
     *
     * @param columns a multiple of 32
     * @param pairs whether a block of 32 has its even columns before its odd ones
     */
    public float[] prepare(boolean pairs, float[] x, int offset, int columns) {
        Objects.checkFromIndexSize(offset, columns, x.length);
        if (columns % 32 != 0) {
            throw new IllegalArgumentException(columns + " columns, a multiple of 32 expected");
        }
        float[] prepared = new float[preparedFloats(columns)];
        try {
            PREPARE.invokeExact(
                    (long) set, pairs ? 1L : 0L, (long) columns, floats(x, offset), MemorySegment.ofArray(prepared));
        } catch (Throwable e) {
            throw failure(e);
        }
        return prepared;
    }

    /**
     * Makes outputs {@code first} to {@code end - 1} of a matrix of plain numbers or blocks.
     *
     * @param weights address of all rows, which the caller has checked and keeps reachable
     * @param x prepared where the type has blocks
     * @param out output n goes to {@code out[offset + n]}
     */
    public void rows(
            GgufType type,
            long weights,
            int headDim,
            int first,
            int end,
            int columns,
            float[] x,
            float[] out,
            int offset) {
        requireRoom(first, end, out, offset);
        Objects.checkFromIndexSize(0, type.isPlain() ? columns : preparedFloats(columns), x.length);
        type.bytes(columns);
        try {
            ROWS.invokeExact(
                    (long) set,
                    (long) type.id(),
                    weights,
                    (long) headDim,
                    (long) first,
                    (long) end,
                    (long) columns,
                    MemorySegment.ofArray(x),
                    floats(out, offset));
        } catch (Throwable e) {
            throw failure(e);
        }
    }

    /** Addresses and extents of a matrix of codes, which the caller has checked; {@code zeros} 0: all are 8. */
    public record CodeMatrix(
            Layout layout,
            long codes,
            long zeros,
            long scales,
            boolean lessOne,
            int outputs,
            int groups,
            int groupSize) {}

    /** How codes lie, in the library's order. */
    public enum Layout {
        AWQ,
        GPTQ,
        BY_ROWS
    }

    /**
     * Makes some outputs of a matrix of codes.
     *
     * @param first the first output
     * @param end the one behind the last; for AWQ both are multiples of 8
     * @param x prepared, in pairs, where codes lie by rows
     */
    public void codes(CodeMatrix matrix, int first, int end, float[] x, float[] out, int offset) {
        requireRoom(first, end, out, offset);
        Objects.checkFromToIndex(first, end, matrix.outputs);
        int columns = matrix.groups * matrix.groupSize;
        boolean byRows = matrix.layout == Layout.BY_ROWS;
        Objects.checkFromIndexSize(0, byRows ? preparedFloats(columns) : columns, x.length);
        int unit = matrix.layout == Layout.AWQ ? 8 : 1;
        try {
            CODES.invokeExact(
                    (long) set,
                    (long) matrix.layout.ordinal(),
                    matrix.codes,
                    matrix.zeros,
                    matrix.scales,
                    matrix.lessOne ? 1L : 0L,
                    (long) matrix.outputs,
                    (long) matrix.groups,
                    (long) matrix.groupSize,
                    (long) (first / unit),
                    (long) (end / unit),
                    MemorySegment.ofArray(x),
                    floats(out, offset));
        } catch (Throwable e) {
            throw failure(e);
        }
    }

    private static void requireRoom(int first, int end, float[] out, int offset) {
        Objects.checkFromToIndex(first, end, Integer.MAX_VALUE);
        Objects.checkFromIndexSize(offset + first, end - first, out.length);
    }

    private static MemorySegment floats(float[] array, int offset) {
        MemorySegment all = MemorySegment.ofArray(array);
        return offset == 0 ? all : all.asSlice(4L * offset);
    }

    private static int best() {
        SymbolLookup symbols = LIBRARY.symbols();
        if (symbols == null) {
            return -1;
        }
        try {
            MethodHandle set = LINKER.downcallHandle(
                    symbols.findOrThrow("nibble_set"), FunctionDescriptor.of(JAVA_LONG), Linker.Option.critical(false));
            return (int) (long) set.invokeExact();
        } catch (Throwable e) {
            throw failure(e);
        }
    }

    /** A function of numbers, then of arrays; without the library, one that is never called. */
    private static MethodHandle function(String name, int numbers, int arrays) {
        SymbolLookup symbols = LIBRARY.symbols();
        if (symbols == null) {
            return MethodHandles.empty(MethodType.methodType(void.class));
        }
        List<MemoryLayout> arguments = new ArrayList<>();
        for (int i = 0; i < numbers + arrays; i++) {
            arguments.add(i < numbers ? JAVA_LONG : ADDRESS);
        }
        return LINKER.downcallHandle(
                symbols.findOrThrow(name),
                FunctionDescriptor.ofVoid(arguments.toArray(MemoryLayout[]::new)),
                Linker.Option.critical(true));
    }

    private static RuntimeException failure(Throwable e) {
        if (e instanceof RuntimeException runtime) {
            return runtime;
        }
        if (e instanceof Error error) {
            throw error;
        }
        return new IllegalStateException(e);
    }
}
