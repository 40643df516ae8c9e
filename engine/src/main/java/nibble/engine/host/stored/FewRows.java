package nibble.engine.host.stored;

import java.lang.foreign.MemorySegment;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.host.natives.Inputs;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.natives.RowSteps;
import nibble.engine.host.vector.Lanes;
import nibble.engine.host.vector.RowSource;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.StoredWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.StoredCodes;
import org.jspecify.annotations.Nullable;

/**
 * Computes {@code out[n] = Σ_k x[k] weight[n, k]} for one row x and weights as their files hold them: decoding.
 *
 * <p>A kernel first prepares x in the form that its inner loop wants, once for all outputs. It then makes the outputs
 * in pieces, which threads take in turn; each output is summed in one fixed order.
 */
public interface FewRows {
    /** Rows for which this is faster than unpacking the weight for a product of many rows. */
    int MOST_ROWS = 3;

    /** The same for kernels of the library, which read a row of weights once for all rows. */
    int MOST_COMPILED_ROWS = 16;

    /**
     * The same for kernels of plain numbers without AMX's tiles: a product of many rows is then the Vector API's, which
     * is compiled only while the first prompt is read.
     */
    int MOST_PLAIN_ROWS = 32;

    /** Weights of a piece: enough that handing it out costs little. */
    int PIECE_WEIGHTS = 1 << 16;

    /** Pieces that a thread has where they are large enough: the last one it waits for is then short. */
    int PIECES_PER_THREAD = 16;

    /** Outputs that {@link Product#finish} makes at least, where there are as many. */
    int FINISHED = RowSteps.SUMMED;

    /** Returns the rows of a piece of a matrix of so many weights. */
    static int rowsPerPiece(int rows, int columns, int threads) {
        long weights = (long) rows * columns / (PIECES_PER_THREAD * threads);
        return (int) Math.max(1, Math.clamp(weights, PIECE_WEIGHTS, PIECE_WEIGHTS * 4) / Math.max(1, columns));
    }

    /**
     * Returns how many pieces the product has.
     *
     * @param rows of activations
     */
    int pieces(int rows);

    /**
     * Prepares rows of activations in the form that the inner loop takes.
     *
     * @param x of the weight's inputs
     * @param outputs in a row of what {@link Product#run} makes
     */
    Product prepare(Inputs x, int outputs);

    /**
     * Adds the product of one row to a program of the library; only the library's kernels can.
     *
     * @param out of each output
     */
    default void record(RowSteps products, MemorySegment out) {
        throw new UnsupportedOperationException("no program of a kernel of the Vector API");
    }

    /** Computes the products of prepared rows. */
    interface Product {
        /**
         * Makes the outputs of pieces {@code from} to {@code to - 1} for all rows; output n of row r goes to {@code
         * out[r * outputs + n]}.
         */
        void run(int from, int to, float[] out);

        /** Returns whether {@link #finish} makes the outputs, of sums that the pieces have made. */
        default boolean isInParts() {
            return false;
        }

        /** Makes outputs {@code first} to {@code end - 1} of all rows, once all pieces are made. */
        default void finish(int first, int end, float[] out) {}
    }

    /**
     * Returns the kernel for a weight: the library's, or one of the Vector API for its form, if this machine's vectors
     * have room for it.
     *
     * @param threads that its pieces are made for; results do not depend on it
     * @param kernels of the library, or null for those of the Vector API
     */
    static FewRows of(Weight weight, int threads, @Nullable Kernels kernels) {
        FewRows compiled = kernels == null ? null : NativeRows.of(weight, threads, kernels);
        if (compiled != null) {
            return compiled;
        }
        if (Lanes.COUNT < 8) {
            return new FloatRows(weight);
        }
        return switch (weight) {
            case BlockWeight(String _, GgufBlocks blocks)
            when blocks.data().isNative() ->
                switch (blocks.type()) {
                    case F16, BF16, F32 -> new PlainRows(blocks);
                    case Q4_0 -> new BlockRows(blocks, new Q4Zero());
                    case Q8_0 -> new BlockRows(blocks, new Q8Zero());
                    case Q4_K -> new BlockRows(blocks, new Q4K());
                    case Q6_K -> new BlockRows(blocks, new Q6K());
                    default -> new FloatRows(weight);
                };
            case DenseWeight(TensorView tensor) when tensor.data().isNative() -> new PlainRows(plain(tensor));
            case StoredWeight(StoredCodes codes)
            when codes.codes().isNative() && codes.byRows() && codes.bits() == 4 ->
                weight.inFeatures() / codes.groups() % 32 == 0 ? new CodeRows(codes) : new FloatRows(weight);
            case StoredWeight(StoredCodes codes)
            when codes.codes().isNative() && codes.bits() == 4 && weight.inFeatures() / codes.groups() % 8 == 0 ->
                new GptqColumns(codes, threads);
            case AwqWeight(AwqLayout.AwqLinear linear)
            when linear.tensors().qweight().isNative() -> new AwqColumns(linear, threads);
            default -> new FloatRows(weight);
        };
    }

    /** Returns whether the library multiplies so many rows by a weight as it is stored faster than by its floats. */
    static boolean isCompiled(Weight weight, int rows, Kernels kernels) {
        int most = isPlain(weight) && !kernels.hasTiles() ? MOST_PLAIN_ROWS : MOST_COMPILED_ROWS;
        return rows <= most && NativeRows.of(weight, 1, kernels) != null;
    }

    private static boolean isPlain(Weight weight) {
        return weight instanceof DenseWeight
                || weight instanceof BlockWeight(String _, GgufBlocks blocks)
                        && blocks.type().isPlain();
    }

    /** Returns whether the library multiplies a weight by activations in bytes, if they are. */
    static boolean takesBytes(Weight weight) {
        return switch (weight) {
            case BlockWeight(String _, GgufBlocks blocks) ->
                blocks.data().isNative() && !blocks.type().isPlain();
            case StoredWeight(StoredCodes codes) ->
                codes.codes().isNative() && codes.inFeatures() / codes.groups() % 32 == 0;
            case AwqWeight(AwqLayout.AwqLinear linear) ->
                linear.tensors().qweight().isNative()
                        && linear.inFeatures() / linear.spec().groups(linear.inFeatures()) % 32 == 0;
            default -> false;
        };
    }

    /**
     * Returns whether many rows in bytes are multiplied faster than in fp32 without tiles of bytes: 4-bit codes by
     * columns, which the library unpacks once for many rows.
     */
    static boolean bytesAreFaster(Weight weight) {
        boolean unpacks = weight instanceof AwqWeight
                || weight instanceof StoredWeight(StoredCodes codes) && !codes.byRows() && codes.bits() == 4;
        return unpacks && takesBytes(weight);
    }

    /** Returns a matrix of plain numbers in any file, as GGUF has them. */
    static GgufBlocks plain(TensorView tensor) {
        GgufType type = switch (tensor.dtype()) {
            case F16 -> GgufType.F16;
            case BF16 -> GgufType.BF16;
            default -> GgufType.F32;
        };
        int rows = (int) tensor.shape().dim(0);
        return new GgufBlocks(type, tensor.data(), rows, (int) tensor.shape().dim(1), 0);
    }

    /**
     * Returns the rows of a weight as floats, for products of many rows.
     *
     * @param kernels of the library, or null for the Vector API
     */
    static RowSource floats(Weight weight, @Nullable Kernels kernels) {
        RowSource rows = BlockFloats.rows(weight);
        if (kernels == null) {
            return rows;
        }
        GgufBlocks plain = plain(weight);
        return plain == null ? rows : new PlainFloats(plain, rows, kernels);
    }

    private static @Nullable GgufBlocks plain(Weight weight) {
        return switch (weight) {
            case DenseWeight(TensorView tensor) when tensor.data().isNative() -> plain(tensor);
            case BlockWeight(String _, GgufBlocks blocks)
            when blocks.type().isPlain() && blocks.data().isNative() -> blocks;
            default -> null;
        };
    }
}
