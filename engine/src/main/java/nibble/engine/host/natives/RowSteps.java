package nibble.engine.host.natives;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.engine.host.natives.LayerProgram.Kind;

/** Collects products with one row that run together. */
public final class RowSteps {
    /** Outputs that one piece of a sum of parts makes. */
    public static final int SUMMED = 512;

    private final LayerSteps builder;
    private final MemorySegment x;
    /** Where forms of this row lie that a step prepares. */
    private final Set<Long> prepared = new HashSet<>();

    private final List<long[]> shared = new ArrayList<>();
    private final List<Runnable> sums = new ArrayList<>();
    private int pieces;

    RowSteps(LayerSteps builder, MemorySegment x) {
        this.builder = builder;
        this.x = x;
    }

    void share(Kind kind, int count, long size, long units, long[] numbers, MemorySegment... addresses) {
        long[] step = LayerProgram.step(kind, LayerProgram.NO_PHASE, numbers, addresses);
        step[2] = pieces;
        step[3] = count;
        step[4] = size;
        step[5] = units;
        shared.add(step);
        pieces += count;
    }

    /** The row in the form for a matrix, which is prepared before the products. */
    private MemorySegment prepared(Kernels kernels, int form, int columns) {
        LayerSteps.require(columns == LayerSteps.count(x), "inputs of a product");
        if (form == Kernels.PLAIN) {
            return x;
        }
        MemorySegment memory = builder.room.form(x, kernels, form, columns);
        if (prepared.add(memory.address())) {
            builder.add(Kind.PREPARE, new long[] {kernels.set(), kernels.way(), form, columns}, x, memory);
        }
        return memory;
    }

    /**
     * Adds the product with a matrix of plain numbers or blocks.
     *
     * @param weights address of all rows, which the caller has checked and keeps reachable
     * @param rowsPerPiece rows that a thread takes at a time
     * @param out of each of the matrix's rows
     */
    public void rows(Kernels kernels, GgufBlocks matrix, long weights, int rowsPerPiece, MemorySegment out) {
        LayerSteps.require(LayerSteps.count(out) == matrix.rows(), "outputs of a product");
        MemorySegment row = prepared(kernels, kernels.form(matrix.type()), matrix.columns());
        long[] numbers = {
            kernels.set(),
            kernels.way(),
            matrix.type().id(),
            weights,
            matrix.headDim(),
            0,
            0,
            matrix.columns(),
            1,
            LayerSteps.count(row),
            matrix.rows()
        };
        int count = Math.ceilDiv(matrix.rows(), rowsPerPiece);
        share(Kind.ROWS, count, rowsPerPiece, matrix.rows(), numbers, row, out);
    }

    /** Adds the product with a matrix of codes, whose pieces are of outputs. */
    public void codes(Kernels kernels, CodeMatrix matrix, int outputsPerPiece, MemorySegment out) {
        MemorySegment row = row(kernels, matrix, out);
        long[] numbers = numbers(kernels, matrix, row, matrix.groups());
        int count = Math.ceilDiv(matrix.outputs(), outputsPerPiece);
        share(Kind.CODES, count, outputsPerPiece, matrix.outputs(), numbers, row, MemorySegment.NULL, out);
    }

    /** Adds the product with a matrix of codes by columns, whose pieces are parts of the groups. */
    public void parts(Kernels kernels, CodeMatrix matrix, int groupsOfPart, MemorySegment out) {
        MemorySegment row = row(kernels, matrix, out);
        int parts = Math.ceilDiv(matrix.groups(), groupsOfPart);
        MemorySegment partSums = builder.room.sums(sums.size(), 4L * parts * matrix.outputs());
        long[] numbers = numbers(kernels, matrix, row, groupsOfPart);
        share(Kind.PARTS, parts, groupsOfPart, matrix.groups(), numbers, row, MemorySegment.NULL, partSums);
        sums.add(() -> {
            long[] of = {kernels.set(), parts, matrix.outputs(), 0};
            int count = Math.ceilDiv(matrix.outputs(), SUMMED);
            share(Kind.SUM, count, SUMMED, matrix.outputs(), of, partSums, out);
        });
    }

    private MemorySegment row(Kernels kernels, CodeMatrix matrix, MemorySegment out) {
        LayerSteps.require(LayerSteps.count(out) == matrix.outputs(), "outputs of a product");
        return prepared(kernels, kernels.form(matrix.layout()), matrix.groups() * matrix.groupSize());
    }

    /** The numbers of "codes" for all outputs and groups, then the outputs of a part, which only program.h reads. */
    private static long[] numbers(Kernels kernels, CodeMatrix matrix, MemorySegment row, int groupsOfPart) {
        return new long[] {
            kernels.set(),
            kernels.way(),
            matrix.layout().ordinal(),
            matrix.codes(),
            matrix.zeros(),
            matrix.scales(),
            matrix.lessOne() ? 1 : 0,
            matrix.outputs(),
            matrix.groups(),
            matrix.groupSize(),
            0,
            matrix.outputs(),
            0,
            matrix.groups(),
            groupsOfPart,
            1,
            LayerSteps.count(row),
            matrix.outputs()
        };
    }

    /** Adds the products, and then the sums of those in parts. */
    public void end() {
        flush();
        sums.forEach(Runnable::run);
        flush();
    }

    private void flush() {
        for (long[] step : shared) {
            step[1] = builder.phases;
            builder.steps.add(step);
        }
        builder.phases += shared.isEmpty() ? 0 : 1;
        shared.clear();
        pieces = 0;
    }
}
