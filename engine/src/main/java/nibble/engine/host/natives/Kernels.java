package nibble.engine.host.natives;

import static nibble.engine.host.natives.NativeFunction.floats;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;
import java.util.function.LongFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.Activations;
import nibble.engine.host.vector.PanelKernel;
import org.jspecify.annotations.Nullable;

/**
 * Calls the library's functions for one instruction set. Arguments are checked here: the functions themselves check
 * nothing.
 *
 * <p>A call takes some nanoseconds, since it passes arrays of the heap and leaves the thread in Java's state. So it
 * must be short, and a garbage collection waits for it.
 */
public final class Kernels {
    private static final NativeFunction ATTEND = NativeFunction.of("attend");
    private static final NativeFunction ADVISE = NativeFunction.of("advise");
    private static final NativeFunction ROWS = NativeFunction.of("rows");
    private static final NativeFunction FILL = NativeFunction.of("fill");
    private static final NativeFunction CODES = NativeFunction.of("codes");

    /** Names of the sets, by the library's numbers. */
    private static final List<String> NAMES = System.getProperty("os.arch", "").matches("amd64|x86_64")
            ? List.of("AVX2", "AVX-512")
            : List.of("NEON", "NEON with dot products");

    private static final int BEST = (int) NativeFunction.number("set", -1);

    /** Forms of activations that every instruction set has, by the library's numbers. */
    private static final int IN_ORDER = 0;

    private static final int IN_PAIRS = 1;

    /** Codes by rows, where the library asks for a type of GGUF. */
    private static final int CODES_BY_ROWS = 102;

    /** Activations as they are. */
    static final int PLAIN = -1;

    /** Floats that each row's sums of a part take, as in matrix.h. */
    public static final int PART_ROOM = 256;

    private final int set;
    private final Activations activations;
    private final Forms forms;

    private Kernels(int set, Activations activations) {
        this.set = set;
        this.activations = activations;
        this.forms = Forms.of(set, way());
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

    /** Returns the products in fp32 of the same instruction set. */
    public PanelKernel panels() {
        return new NativePanels(set);
    }

    /** Returns the operations between products of the same instruction set. */
    public Elements elements() {
        return new Elements(set);
    }

    /** Returns why there are none, or an empty text. */
    public static String whyNone() {
        return BEST < 0 && NativeFunction.whyNone().isEmpty()
                ? "the processor lacks " + NAMES.getFirst()
                : NativeFunction.whyNone();
    }

    /** Returns whether a kernel survives a read behind the end of a file that was cut short, which is an error then. */
    public static boolean surviveCuts() {
        return Guard.IS_ON;
    }

    /** Returns the name of the instruction set. */
    public String name() {
        return NAMES.get(set);
    }

    int form(GgufType type) {
        return type.isPlain() ? PLAIN : forms.of(type.id());
    }

    int form(CodeMatrix.Layout layout) {
        return switch (layout) {
            case BY_ROWS -> forms.of(CODES_BY_ROWS);
            case BYTES_BY_ROWS -> IN_ORDER;
            case AWQ, GPTQ_BYTES -> activations.bytes() ? IN_ORDER : PLAIN;
            case GPTQ -> activations.bytes() ? IN_PAIRS : PLAIN;
        };
    }

    /** Returns whether products of bytes are known to be faster than those of fp32 for any number of rows. */
    public boolean bytesAreFast() {
        return NAMES.get(set).startsWith("AVX");
    }

    /** Returns rows of activations in the form that {@link #rows} takes for a matrix. */
    public Prepared prepare(GgufBlocks matrix, Inputs inputs) {
        return prepare(form(matrix.type()), matrix.columns(), inputs);
    }

    /** Returns rows of activations in the form that {@link #codes} takes for a matrix. */
    public Prepared prepare(CodeMatrix matrix, Inputs inputs) {
        return prepare(form(matrix.layout()), matrix.groups() * matrix.groupSize(), inputs);
    }

    private Prepared prepare(int form, int columns, Inputs inputs) {
        return form == PLAIN ? inputs.plain(columns) : inputs.prepared(this, form, columns);
    }

    /**
     * Prepares rows of activations for rows of blocks.
     *
     * @param x rows of {@code columns} from its beginning
     * @param columns a multiple of 32
     * @param room lends memory of so many bytes, at a multiple of 64
     */
    Prepared prepare(int form, float[] x, int rows, int columns, LongFunction<MemorySegment> room) {
        Objects.checkFromIndexSize(0, Math.multiplyExact(rows, columns), x.length);
        if (columns % 32 != 0) {
            throw new IllegalArgumentException(columns + " columns, a multiple of 32 expected");
        }
        int stride = forms.floats(form, columns);
        MemorySegment memory = room.apply(Prepared.bytes(rows, stride));
        Prepared prepared = new Prepared(memory, this, form, columns, rows, stride);
        prepared.fill(x);
        return prepared;
    }

    /** Returns the floats of a prepared row. */
    int preparedFloats(int form, int columns) {
        return forms.floats(form, columns);
    }

    long way() {
        return activations.bytes() ? 1 : 0;
    }

    /** Returns the library's number of the instruction set. */
    long set() {
        return set;
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
     * @param x prepared for this matrix
     * @param out [rows, outputs]
     * @throws InternalError if a mapped file was cut short and the weights are not there any more
     */
    public void rows(GgufBlocks matrix, long weights, Range range, Prepared x, float[] out) {
        GgufType type = matrix.type();
        require(form(type), range, matrix.columns(), matrix.rows(), x);
        Objects.checkFromIndexSize(0, Math.multiplyExact(range.from + range.rows, matrix.rows()), out.length);
        long faults = Guard.faults();
        ROWS.call(
                new long[] {
                    set,
                    way(),
                    type.id(),
                    weights,
                    matrix.headDim(),
                    range.first,
                    range.end,
                    matrix.columns(),
                    range.rows,
                    x.stride(),
                    matrix.rows()
                },
                x.from(range.from),
                floats(out, range.from * matrix.rows()));
        Guard.requireNone(faults);
    }

    /**
     * Makes outputs of a matrix of codes by rows.
     *
     * @param x prepared for this matrix
     * @param out [rows, outputs]
     */
    public void codes(CodeMatrix matrix, Range range, Prepared x, float[] out) {
        codes(matrix, range, CodeMatrix.Groups.all(matrix, matrix.groups()), x, MemorySegment.NULL, out);
    }

    /**
     * Makes outputs of a matrix of codes by columns.
     *
     * @param groups all; in several parts only for several rows in bytes
     * @param x prepared for this matrix
     * @param room {@link #PART_ROOM} floats for each row
     * @param out [rows, outputs]
     */
    public void codes(
            CodeMatrix matrix, Range range, CodeMatrix.Groups groups, Prepared x, MemorySegment room, float[] out) {
        Objects.checkFromIndexSize(0, Math.multiplyExact(range.from + range.rows, matrix.outputs()), out.length);
        if (groups.ofPart() < matrix.groups()) {
            Objects.checkFromIndexSize(0L, 4L * PART_ROOM * range.rows, room.byteSize());
        }
        call(matrix, range, groups, x, room, floats(out, range.from * matrix.outputs()));
    }

    /**
     * Sums one part of the groups of a matrix of codes by columns.
     *
     * @param range of all rows from the first
     * @param x prepared for this matrix
     * @param sums [rows, outputs]
     */
    public void part(CodeMatrix matrix, Range range, CodeMatrix.Groups groups, Prepared x, MemorySegment sums) {
        Objects.checkFromIndexSize(0L, 4L * Math.multiplyExact(range.rows, matrix.outputs()), sums.byteSize());
        if (range.from != 0 || groups.end() - groups.first() > groups.ofPart()) {
            throw new IllegalArgumentException(range + ", " + groups + ": one part of rows from the first expected");
        }
        call(matrix, range, groups, x, MemorySegment.NULL, sums);
    }

    private void call(
            CodeMatrix matrix,
            Range range,
            CodeMatrix.Groups groups,
            Prepared x,
            MemorySegment room,
            MemorySegment out) {
        require(form(matrix.layout()), range, matrix.groups() * matrix.groupSize(), matrix.outputs(), x);
        Objects.checkFromToIndex(groups.first(), groups.end(), matrix.groups());
        long faults = Guard.faults();
        CODES.call(
                new long[] {
                    set,
                    way(),
                    matrix.layout().ordinal(),
                    matrix.codes(),
                    matrix.zeros(),
                    matrix.scales(),
                    matrix.lessOne() ? 1L : 0L,
                    matrix.outputs(),
                    matrix.groups(),
                    matrix.groupSize(),
                    range.first,
                    range.end,
                    groups.first(),
                    groups.end(),
                    groups.ofPart(),
                    range.rows,
                    x.stride()
                },
                x.from(range.from),
                room,
                out);
        Guard.requireNone(faults);
    }

    /**
     * Puts pieces of rows of plain numbers side by side, as {@link PanelKernel} takes them.
     *
     * @param matrix whose rows the caller keeps reachable
     * @param rows at most 32
     */
    public void fill(GgufBlocks matrix, int first, int rows, int column, int depth, float[] panel, int offset) {
        Objects.checkFromIndexSize(first, rows, matrix.rows());
        Objects.checkFromIndexSize(column, depth, matrix.columns());
        Objects.checkFromIndexSize(offset, Math.multiplyExact(depth, PanelKernel.COLUMNS), panel.length);
        if (rows > PanelKernel.COLUMNS || !matrix.type().isPlain()) {
            throw new IllegalArgumentException(
                    rows + " rows of " + matrix.type() + ", up to 32 of plain numbers expected");
        }
        long faults = Guard.faults();
        FILL.call(
                new long[] {set, matrix.type().id(), matrix.headDim(), first, rows, matrix.columns(), column, depth},
                matrix.data(),
                floats(panel, offset));
        Guard.requireNone(faults);
    }

    /** Returns whether {@link #attend} takes heads of this size. */
    public static boolean attendsTo(int headDim) {
        return headDim % 16 == 0;
    }

    /** Returns the scores that {@link #attend} needs room for. */
    public static int room(int seen) {
        return (seen + 15) / 16 * 16;
    }

    /**
     * Computes attention of one query of the heads that share a head of keys and values.
     *
     * @param query where the heads' values begin in {@code queries}, and in {@code out}
     * @param first where the head's values of the first key begin
     * @param seen keys that the query sees
     * @param scores room for {@code seen} numbers, rounded up to a multiple of 16
     */
    public void attend(
            AttentionShape shape,
            float[] queries,
            int query,
            float[] keys,
            float[] values,
            int first,
            int seen,
            float[] scores,
            float[] out) {
        int heads = shape.heads() / shape.kvHeads();
        Objects.checkFromIndexSize(query, heads * shape.headDim(), Math.min(queries.length, out.length));
        long behind = first + (seen - 1L) * shape.keyColumns() + shape.headDim();
        Objects.checkFromToIndex(first, behind, (long) Math.min(keys.length, values.length));
        if (!attendsTo(shape.headDim()) || seen < 1 || scores.length < room(seen)) {
            throw new IllegalArgumentException("attention of heads of " + shape.headDim() + " to " + seen + " keys");
        }
        ATTEND.call(
                new long[] {
                    set, shape.headDim(), shape.keyColumns(), seen, heads, Float.floatToRawIntBits(shape.scale())
                },
                floats(queries, query),
                floats(keys, first),
                floats(values, first),
                MemorySegment.ofArray(scores),
                floats(out, query));
    }

    /** Asks the system for large pages where it has not yet read a mapped file; does nothing where it has none. */
    public static void readInLargePages(MemorySegment mapped) {
        ADVISE.call(new long[] {mapped.byteSize()}, mapped);
    }

    /** Returns whether {@link ByteGemm} multiplies many rows: by AMX's tiles, or by AVX2. */
    public boolean multipliesManyBytes() {
        return hasTiles() || NAMES.get(set).equals("AVX2");
    }

    /** Returns whether products of many rows use AMX's tiles: with the best instruction set only. */
    public boolean hasTiles() {
        return Tiles.EXIST && set == BEST;
    }

    private void require(int form, Range range, int columns, int outputs, Prepared x) {
        if (x.form() != form || x.columns() != columns || (form != PLAIN && x.activations() != activations)) {
            throw new IllegalArgumentException("activations prepared for other kernels: " + x);
        }
        Objects.checkFromToIndex(range.first, range.end, outputs);
        int rows = Math.addExact(range.from, range.rows);
        Objects.checkFromToIndex(range.from, rows, x.rows());
        Objects.checkFromIndexSize(
                0L, Prepared.bytes(rows, x.stride()), x.memory().byteSize());
    }
}
