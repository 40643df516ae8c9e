package nibble.engine.quantize;

import nibble.engine.tensor.Matrix;

/**
 * Holds moments of a linear's input on two streams over the same tokens: {@code x_f} of the original model and {@code
 * x_q} of the model whose earlier linears are quantized. Sums over tokens, the second for two halves of the text each:
 *
 * <pre>
 * C = Σ x_q x_qᵀ                 [columns, columns], of both halves together
 * N = Σ l x_qᵀ                   [rows, columns]: what is lacking, l, and x_q
 * </pre>
 *
 * <p>For linears that share their input, l is what it lacks: {@code x_f − x_q}. A linear W that adds to the residual
 * stream h has its output in l: {@code (h_f + W x_f) − (h_q + W x_q)}, which takes fewer products, and less memory,
 * where W has fewer rows than columns. Owns its memory.
 */
public interface PairedMoments extends AutoCloseable {
    /** Returns statistics of {@code x_q}: C and mean |x|. Owned by this. */
    InputStatistics input();

    /**
     * Adds tokens.
     *
     * @param quantized x_q [tokens, columns]
     * @param lack l [tokens, rows]
     * @param half 0 or 1: the half of the text that the tokens are of
     */
    void add(Matrix quantized, Matrix lack, int half);

    /** Ends a part of the sums, as {@link InputStatistics#endPart} has it; every other part is of the second half. */
    void endPart();

    @Override
    void close();
}
