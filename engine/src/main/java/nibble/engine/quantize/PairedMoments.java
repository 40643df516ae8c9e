package nibble.engine.quantize;

import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * What a linear's input looked like on two streams over the same tokens: {@code x_f} of the original model and
 * {@code x_q} of the model whose earlier linears are quantized. Sums over tokens, for two halves of the text each:
 *
 * <pre>
 * C = Σ x_q x_qᵀ                 [columns, columns], of both halves together
 * N = Σ (x_f − x_q) x_qᵀ         [columns, columns]
 * D = Σ (h_f − h_q) x_qᵀ         [residual, columns], where the linear adds to the residual streams h
 * </pre>
 *
 * Owns its memory.
 */
public interface PairedMoments extends AutoCloseable {
    /** Statistics of {@code x_q}: C and mean |x|. Owned by this. */
    InputStatistics input();

    /**
     * Adds tokens.
     *
     * @param quantized x_q [tokens, columns]
     * @param original x_f [tokens, columns]
     * @param residual h_f − h_q [tokens, residual], or null where it does not count
     * @param half 0 or 1: the half of the text that the tokens are of
     */
    void add(Matrix quantized, Matrix original, @Nullable Matrix residual, int half);

    @Override
    void close();
}
