package nibble.engine.host.stored;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import nibble.engine.backend.Activations;
import nibble.engine.host.natives.CodeMatrix;
import nibble.engine.host.natives.CodeMatrix.Layout;
import nibble.engine.host.natives.Inputs;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.natives.Kernels.Range;
import nibble.engine.host.natives.Prepared;
import nibble.engine.host.natives.RowSteps;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.StoredCodes;

/** Codes by rows with scales and zeros of their own, multiplied by the native library. */
final class NativeCodes implements FewRows {
    /** Rows of activations of a call: codes are unpacked once for them, and read from memory once. */
    static final int BATCH = 256;

    private final Object keeper;
    private final CodeMatrix matrix;
    private final Kernels kernels;
    private final int outputsPerPiece;

    private NativeCodes(Object keeper, CodeMatrix matrix, int outputsPerPiece, Kernels kernels) {
        this.keeper = keeper;
        this.matrix = matrix;
        this.kernels = kernels;
        this.outputsPerPiece = outputsPerPiece;
    }

    static FewRows awq(AwqLayout.AwqLinear linear, int threads, Kernels kernels) {
        CodeMatrix matrix = matrix(linear);
        return new ColumnCodes(linear, matrix, threads, forGroups(matrix, kernels));
    }

    static FewRows stored(StoredCodes codes, int threads, Kernels kernels) {
        CodeMatrix matrix = matrix(codes);
        Kernels taken = forGroups(matrix, kernels);
        return codes.byRows()
                ? new NativeCodes(
                        codes, matrix, FewRows.rowsPerPiece(matrix.outputs(), codes.inFeatures(), threads), taken)
                : new ColumnCodes(codes, matrix, threads, taken);
    }

    /** Returns what the library takes of AWQ's codes, which it can read. */
    static CodeMatrix matrix(AwqLayout.AwqLinear linear) {
        int outputs = linear.outFeatures();
        int groups = linear.spec().groups(linear.inFeatures());
        long scales = 2L * groups * outputs;
        return new CodeMatrix(
                Layout.AWQ,
                Stored.require(linear.tensors().qweight(), (long) linear.inFeatures() * outputs / 2),
                Stored.require(linear.tensors().qzeros(), scales / 4),
                Stored.require(linear.tensors().scales(), scales),
                false,
                outputs,
                groups,
                linear.inFeatures() / groups);
    }

    /** Returns what the library takes of GPTQ's or compressed-tensors' codes, which it can read. */
    static CodeMatrix matrix(StoredCodes codes) {
        if (codes.bits() != 4 && codes.bits() != 8) {
            throw new IllegalArgumentException("codes of " + codes.bits() + " bits; the kernels take 4 or 8");
        }
        boolean isBytes = codes.bits() == 8;
        Layout byRows = isBytes ? Layout.BYTES_BY_ROWS : Layout.BY_ROWS;
        Layout byColumns = isBytes ? Layout.GPTQ_BYTES : Layout.GPTQ;
        int outputs = codes.outFeatures();
        long zeros = (long) codes.groups() * outputs;
        return new CodeMatrix(
                codes.byRows() ? byRows : byColumns,
                Stored.require(codes.codes(), (long) codes.inFeatures() * outputs / (8 / codes.bits())),
                codes.zeros().byteSize() == 0 ? 0 : Stored.require(codes.zeros(), zeros / (8 / codes.bits())),
                Stored.require(codes.scales(), 2 * zeros),
                codes.lessOne(),
                outputs,
                codes.groups(),
                codes.inFeatures() / codes.groups());
    }

    /** Activations in bytes have a scale for each 32. */
    private static Kernels forGroups(CodeMatrix matrix, Kernels kernels) {
        return matrix.groupSize() % 32 == 0 ? kernels : kernels.with(Activations.FP32);
    }

    @Override
    public int pieces(int count) {
        return (matrix.outputs() + outputsPerPiece - 1) / outputsPerPiece;
    }

    @Override
    public void record(RowSteps products, MemorySegment out) {
        products.codes(kernels, matrix, outputsPerPiece, out);
    }

    @Override
    public Product prepare(Inputs x, int outputs) {
        int count = x.rows();
        Prepared prepared = kernels.prepare(matrix, x);
        return (fromPiece, toPiece, out) -> {
            int first = fromPiece * outputsPerPiece;
            int end = Math.min(matrix.outputs(), toPiece * outputsPerPiece);
            for (int from = 0; from < count; from += BATCH) {
                Range range = new Range(first, end, from, Math.min(BATCH, count - from));
                kernels.codes(matrix, range, prepared, out);
            }
            Reference.reachabilityFence(keeper);
        };
    }
}
