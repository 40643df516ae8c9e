package nibble.engine.host.stored;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import nibble.engine.backend.Activations;
import nibble.engine.host.natives.CodeMatrix;
import nibble.engine.host.natives.CodeMatrix.Groups;
import nibble.engine.host.natives.CodeMatrix.Layout;
import nibble.engine.host.natives.Elements;
import nibble.engine.host.natives.Inputs;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.natives.Kernels.Range;
import nibble.engine.host.natives.Prepared;
import nibble.engine.host.natives.RowSteps;

/**
 * Codes that lie by columns, AWQ's and GPTQ's, multiplied by the native library: a row of words holds some inputs of
 * all outputs.
 *
 * <p>Groups are summed in parts, and then the parts. One row of activations has a part as a piece, since a part's words
 * follow one another in memory: pieces of outputs would read a short run of each row of words. Several rows of
 * activations in bytes share unpacked words, so their pieces are of outputs; in fp32 they do as one row does. The
 * parts do not depend on threads or on rows, so neither do results.
 */
final class ColumnCodes implements FewRows {
    /** Outputs that one step of a kernel makes at most: 16 lanes, of eight outputs each for AWQ. */
    private static final int AWQ_STEP = 128;

    private static final int GPTQ_STEP = 16;

    /** Pieces of columns that a thread should have, so that none waits long for the last. */
    private static final int PIECES_PER_THREAD = 2;

    /** Parts of a matrix's groups at most: what they add up to is written and read once more. */
    private static final int MOST_PARTS = 16;

    /** Fewer parts would leave threads without one. */
    private static final int LEAST_PARTS = 8;

    private final Object keeper;
    private final CodeMatrix matrix;
    private final Kernels kernels;
    private final Elements elements;
    private final int outputsPerPiece;
    private final int groupsOfPart;
    private final int parts;

    /** @param keeper holds the memory of the matrix */
    ColumnCodes(Object keeper, CodeMatrix matrix, int threads, Kernels kernels) {
        this.keeper = keeper;
        this.matrix = matrix;
        this.kernels = kernels;
        this.elements = kernels.elements();
        int step = matrix.layout() == Layout.AWQ ? AWQ_STEP : GPTQ_STEP;
        this.outputsPerPiece = step * Math.max(1, matrix.outputs() / step / (PIECES_PER_THREAD * threads));
        int most = Math.ceilDiv(matrix.groups(), MOST_PARTS);
        int count = Math.ceilDiv(matrix.groups(), most);
        this.groupsOfPart = count < LEAST_PARTS ? matrix.groups() : most;
        this.parts = Math.ceilDiv(matrix.groups(), groupsOfPart);
    }

    @Override
    public int pieces(int rows) {
        return byParts(rows) ? parts : Math.ceilDiv(matrix.outputs(), outputsPerPiece);
    }

    private boolean byParts(int rows) {
        return parts > 1 && (rows == 1 || kernels.activations() == Activations.FP32);
    }

    @Override
    public void record(RowSteps products, MemorySegment out) {
        if (byParts(1)) {
            products.parts(kernels, matrix, groupsOfPart, out);
        } else {
            products.codes(kernels, matrix, outputsPerPiece, out);
        }
    }

    @Override
    public Product prepare(Inputs x, int outputs) {
        Prepared prepared = kernels.prepare(matrix, x);
        return byParts(x.rows()) ? new Parts(prepared, x.room(4L * parts * x.rows() * outputs)) : byOutputs(prepared);
    }

    private Product byOutputs(Prepared prepared) {
        return (fromPiece, toPiece, out) -> {
            int first = fromPiece * outputsPerPiece;
            int end = Math.min(matrix.outputs(), toPiece * outputsPerPiece);
            int batch = Math.min(NativeCodes.BATCH, prepared.rows());
            // Groups that are all one part need none.
            MemorySegment room =
                    parts == 1 ? MemorySegment.NULL : MemorySegment.ofArray(new float[Kernels.PART_ROOM * batch]);
            for (int from = 0; from < prepared.rows(); from += NativeCodes.BATCH) {
                Range range = new Range(first, end, from, Math.min(NativeCodes.BATCH, prepared.rows() - from));
                kernels.codes(matrix, range, Groups.all(matrix, groupsOfPart), prepared, room, out);
            }
            Reference.reachabilityFence(keeper);
        };
    }

    /** @param sums [parts, rows, outputs] */
    private final class Parts implements Product {
        private final Prepared x;
        private final MemorySegment sums;
        private final int ofPart;

        Parts(Prepared x, MemorySegment sums) {
            this.x = x;
            this.sums = sums;
            this.ofPart = x.rows() * matrix.outputs();
        }

        @Override
        public void run(int from, int to, float[] out) {
            Range all = new Range(0, matrix.outputs(), 0, x.rows());
            for (int part = from; part < to; part++) {
                int first = part * groupsOfPart;
                int end = Math.min(matrix.groups(), first + groupsOfPart);
                MemorySegment of = sums.asSlice(4L * part * ofPart, 4L * ofPart);
                kernels.part(matrix, all, new Groups(first, end, groupsOfPart), x, of);
            }
            Reference.reachabilityFence(keeper);
        }

        @Override
        public boolean isInParts() {
            return true;
        }

        @Override
        public void finish(int first, int end, float[] out) {
            for (int row = 0; row < x.rows(); row++) {
                int at = row * matrix.outputs() + first;
                elements.sum(sums, parts, ofPart, at, out, at, end - first);
            }
        }
    }
}
