package nibble.engine.backend;

import java.util.List;
import nibble.checkpoint.model.Activation;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * The operations of a backward pass on one device: each turns the gradient of what an operation of
 * {@link LayerOperations} gave into that of what it was given. A gradient of a matrix is a matrix of its extents. The
 * gradient of {@link LayerOperations#rope} is the same with {@link RotaryTable#inverse}.
 */
public interface GradientOperations {
    /**
     * The weight {@code (code − zero) · scale}, not rounded to fp16.
     *
     * @param codes what gives codes and zeros
     * @param scales [out, groups]
     */
    Weight weight(QuantizedLinear codes, float[] scales);

    /** {@code dx[t, k] = Σ_i Σ_n dy_i[t, n] weight_i[n, k]}, for linears that share their input. */
    void linears(List<Weight> weights, List<Matrix> dys, Matrix dx);

    /**
     * {@code into[n, g] += Σ_t dy[t, n] Σ_k (code − zero)[n, k] x[t, k]}, k over the columns of group g.
     *
     * @param into [out, groups]
     */
    void addScales(QuantizedLinear codes, Matrix dy, Matrix x, float[] into);

    /**
     * Of {@link LayerOperations#rmsNorm}.
     *
     * @param dx is added to
     * @param dWeight is added to
     */
    void addRmsNorm(Matrix x, float[] weight, double epsilon, Matrix dy, Matrix dx, float[] dWeight);

    /**
     * Of {@link LayerOperations#rmsNormHeads}.
     *
     * @param x before the norm
     * @param gradient of the result, becomes that of x
     * @param dWeight is added to
     */
    void rmsNormHeads(Matrix x, float[] weight, double epsilon, Matrix gradient, float[] dWeight);

    /**
     * Of {@link LayerOperations#attention} over whole sequences, each with its first token at position 0.
     *
     * @param out what it gave
     * @param dOut the gradient of that
     */
    void attention(
            AttentionShape shape,
            int sequences,
            Matrix query,
            Matrix keys,
            Matrix values,
            Matrix out,
            Matrix dOut,
            Matrix dQuery,
            Matrix dKeys,
            Matrix dValues);

    /** Of {@link LayerOperations#glu}; {@code dGate} may be {@code dOut}. */
    void glu(Activation activation, Matrix gate, Matrix up, Matrix dOut, Matrix dGate, Matrix dUp);

    /**
     * The divergence of next-token distributions, {@code Σ_t KL(softmax(f[t] headᵀ) ‖ softmax(x[t] headᵀ))} in nats.
     * Logits are made for some rows at a time, never for all.
     *
     * @param original f, after the original model's final norm
     * @param x after the final norm
     * @param dx becomes {@code factor} times the gradient of x; null where it is not asked for
     */
    double divergence(Weight head, Matrix original, Matrix x, float factor, @Nullable Matrix dx);
}
