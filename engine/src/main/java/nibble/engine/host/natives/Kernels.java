package nibble.engine.host.natives;

import static nibble.engine.host.natives.NativeFunctions.floats;
import static nibble.engine.host.natives.NativeFunctions.function;
import static nibble.engine.host.natives.NativeFunctions.number;

import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.backend.Activations;
import org.jspecify.annotations.Nullable;

/**
 * Calls the library's functions for one instruction set. Arguments are checked here: the functions themselves check
 * nothing.
 *
 * <p>A call takes some nanoseconds, since it passes arrays of the heap and leaves the thread in Java's state. So it
 * must be short, and a garbage collection waits for it.
 */
public final class Kernels {
    private static final MethodHandle PREPARE = function("nibble_prepare", 4, 2);
    private static final MethodHandle ROWS = function("nibble_rows", 11, 2);
    private static final MethodHandle CODES = function("nibble_codes", 14, 2);

    /** Names of the sets, by the library's numbers. */
    private static final List<String> NAMES = System.getProperty("os.arch", "").matches("amd64|x86_64")
            ? List.of("AVX2", "AVX-512")
            : List.of("NEON", "NEON with dot products");

    private static final int BEST = (int) number("nibble_set", -1);

    /** Floats behind a prepared row that a kernel may load. */
    private static final int ROOM = 16;

    private final int set;
    private final Activations activations;

    private Kernels(int set, Activations activations) {
        this.set = set;
        this.activations = activations;
    }

    /** Returns those of the machine's best instruction set, or none where {@link #whyNone} says why. */
    public static @Nullable Kernels ofMachine() {
        return BEST < 0 ? null : new Kernels(BEST, Activations.FP32);
    }

    /** Returns those of every instruction set that the machine has, the best first, for both forms of activations. */
    public static List<Kernels> all() {
        return IntStream.rangeClosed(0, BEST)
                .boxed()
                .flatMap(set -> Stream.of(Activations.values()).map(form -> new Kernels(BEST - set, form)))
                .toList();
    }

    /** Returns those of the same instruction set for a form of activations. */
    public Kernels with(Activations form) {
        return new Kernels(set, form);
    }

    public Activations activations() {
        return activations;
    }

    /** Returns why there are none, or an empty text. */
    public static String whyNone() {
        return BEST < 0 && NativeFunctions.whyNone().isEmpty()
                ? "the processor lacks " + NAMES.getFirst()
                : NativeFunctions.whyNone();
    }

    /** Returns the name of the instruction set. */
    public String name() {
        return NAMES.get(set);
    }

    /** Returns the floats of a row of activations prepared for rows of blocks. */
    public int preparedFloats(int columns) {
        return (activations.bytes() ? columns / 4 + columns / 32 : columns) + columns / 32 + columns / 16 + ROOM;
    }

    /**
     * Prepares rows of activations for rows of blocks.
     *
     * @param x rows of {@code columns} from its beginning
     * @param columns a multiple of 32
     * @param pairs whether a block of 32 has its even columns before its odd ones
     */
    public float[] prepare(boolean pairs, float[] x, int rows, int columns) {
        Objects.checkFromIndexSize(0, Math.multiplyExact(rows, columns), x.length);
        if (columns % 32 != 0) {
            throw new IllegalArgumentException(columns + " columns, a multiple of 32 expected");
        }
        int stride = preparedFloats(columns);
        float[] prepared = new float[Math.multiplyExact(rows, stride)];
        for (int row = 0; row < rows; row++) {
            try {
                PREPARE.invokeExact(
                        (long) set,
                        way(),
                        pairs ? 1L : 0L,
                        (long) columns,
                        floats(x, row * columns),
                        floats(prepared, row * stride));
            } catch (Throwable e) {
                throw NativeFunctions.failure(e);
            }
        }
        return prepared;
    }

    private long way() {
        return activations.bytes() ? 1 : 0;
    }

    /**
     * Names some outputs for some rows of activations.
     *
     * @param first the first output; for AWQ's codes a multiple of 8
     * @param end the one behind the last; for AWQ's codes a multiple of 8
     * @param from the first row of activations
     * @param rows of activations
     */
    public record Range(int first, int end, int from, int rows) {}

    /**
     * Makes outputs of a matrix of plain numbers or blocks.
     *
     * @param weights address of all rows, which the caller has checked and keeps reachable
     * @param x prepared where the type has blocks
     * @param out [rows, outputs]
     */
    public void rows(GgufBlocks matrix, long weights, Range range, float[] x, float[] out) {
        GgufType type = matrix.type();
        int stride = type.isPlain() ? matrix.columns() : preparedFloats(matrix.columns());
        require(range, matrix.rows(), stride, x, out);
        try {
            ROWS.invokeExact(
                    (long) set,
                    way(),
                    (long) type.id(),
                    weights,
                    (long) matrix.headDim(),
                    (long) range.first,
                    (long) range.end,
                    (long) matrix.columns(),
                    (long) range.rows,
                    (long) stride,
                    (long) matrix.rows(),
                    floats(x, range.from * stride),
                    floats(out, range.from * matrix.rows()));
        } catch (Throwable e) {
            throw NativeFunctions.failure(e);
        }
    }

    /** Holds addresses and extents of a matrix of codes, which the caller has checked; {@code zeros} 0: all are 8. */
    public record CodeMatrix(
            Layout layout,
            long codes,
            long zeros,
            long scales,
            boolean lessOne,
            int outputs,
            int groups,
            int groupSize) {}

    /** Lists the ways in which codes lie, in the library's order. */
    public enum Layout {
        AWQ,
        GPTQ,
        BY_ROWS
    }

    /** Returns whether codes of a layout take prepared activations: those by rows do, and all do in int8. */
    public boolean isPrepared(Layout layout) {
        return layout == Layout.BY_ROWS || activations.bytes();
    }

    /**
     * Makes outputs of a matrix of codes.
     *
     * @param x prepared where {@link #isPrepared} says so, in pairs unless it is AWQ's layout
     * @param out [rows, outputs]
     */
    public void codes(CodeMatrix matrix, Range range, float[] x, float[] out) {
        int columns = matrix.groups * matrix.groupSize;
        int stride = isPrepared(matrix.layout) ? preparedFloats(columns) : columns;
        require(range, matrix.outputs, stride, x, out);
        try {
            CODES.invokeExact(
                    (long) set,
                    way(),
                    (long) matrix.layout.ordinal(),
                    matrix.codes,
                    matrix.zeros,
                    matrix.scales,
                    matrix.lessOne ? 1L : 0L,
                    (long) matrix.outputs,
                    (long) matrix.groups,
                    (long) matrix.groupSize,
                    (long) range.first,
                    (long) range.end,
                    (long) range.rows,
                    (long) stride,
                    floats(x, range.from * stride),
                    floats(out, range.from * matrix.outputs));
        } catch (Throwable e) {
            throw NativeFunctions.failure(e);
        }
    }

    /** Returns whether products of many rows use AMX's tiles: with the best instruction set only. */
    public boolean hasTiles() {
        return Tiles.EXIST && set == BEST;
    }

    private static void require(Range range, int outputs, int stride, float[] x, float[] out) {
        Objects.checkFromToIndex(range.first, range.end, outputs);
        int rows = Math.addExact(range.from, range.rows);
        Objects.checkFromToIndex(range.from, rows, rows);
        Objects.checkFromIndexSize(0, Math.multiplyExact(rows, stride), x.length);
        Objects.checkFromIndexSize(0, Math.multiplyExact(rows, outputs), out.length);
    }
}
