package nibble.engine.quantize;

import java.util.List;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * Holds the weights W [outFeatures, inFeatures] of a linear where a backend computes, to be rounded on trial and then
 * for good. Rounding takes them into a {@link Basis} and back, so that all errors are those of the original weights:
 * {@code E = Ŵ − W}. {@link nibble.engine.host.HostLinearQuantizer} is the specification.
 *
 * <p>Output errors are by the second moments of the input: {@code ‖E X‖² = tr(E C Eᵀ)} with {@code C = X Xᵀ}. That
 * costs one product with C, however many tokens C was made of.
 */
public interface LinearQuantizer extends AutoCloseable {
    int outFeatures();

    int inFeatures();

    /** Returns the sum over all rows of |w| / (largest |w| of its group + 1e-6), for each column. */
    double[] relativeMagnitudes();

    /**
     * Returns {@code e C eᵀ} of each row e of E; NaN where a scale does not fit fp16.
     *
     * @param limits [outFeatures, groups] magnitudes to clip W' to, or null for none
     */
    double[] errors(Basis basis, float @Nullable [] limits, InputStatistics input);

    /**
     * Returns {@code tr(E C Eᵀ)} without clipping, for each of several column scales.
     *
     * @param columns factors of the columns, null for ones
     * @param onEach run for each that is done
     */
    double[] losses(List<float @Nullable []> columns, InputStatistics input, Runnable onEach);

    /** Returns {@code tr(W C Wᵀ)}: the size of the output that errors are relative to. */
    double outputSize(InputStatistics input);

    /** Returns {@code ‖E‖² / ‖W‖²}. */
    double weightError(Basis basis, float @Nullable [] limits);

    /** Returns the clip of each group of W' with the least output error of that group alone, {@code e C_gg eᵀ}. */
    Clip clip(Basis basis, InputStatistics input);

    /**
     * Rounds W'.
     *
     * @throws nibble.checkpoint.source.BadCheckpointException if a scale does not fit fp16
     */
    QuantizedLinear quantize(Basis basis, float @Nullable [] limits);

    /**
     * Fits codes and scales to the moments of the input, against the weights that undo what was quantized before.
     *
     * @param basis without row divisors
     * @throws nibble.checkpoint.source.BadCheckpointException if a scale does not fit fp16
     */
    default Fitted fit(Basis basis, PairedMoments moments, FitSteps steps) {
        throw new UnsupportedOperationException("fitting a linear on this device");
    }

    @Override
    void close();
}
