package nibble.engine.backend;

import java.nio.file.Path;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.quantize.ExpertTurns;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;

/**
 * Computes what quantizing asks of a device: statistics of inputs, trial rounding, and products of whole second
 * moments.
 */
public interface QuantizationOperations extends Matrices {
    /**
     * Returns a store for the activations of a model that is being calibrated.
     *
     * @param elements of all batches together
     * @param streams of which this is one; the others ask for stores of their own
     */
    default ActivationStore activationStore(long elements, ModelConfig config, Streams streams) {
        return new ResidentActivations(this);
    }

    /** Makes a store whose batches take memory of the host alone while they are not used. */
    default ActivationStore hostStore() {
        return new ResidentActivations(this);
    }

    /** Makes statistics of inputs with so many features, all zero. */
    InputStatistics statistics(int columns);

    /**
     * Makes the quantizer of a linear.
     *
     * @param placed the weight where this backend computes, not needed after this is closed
     * @param original the same weight on the host
     * @param file where it lies, for messages
     * @throws nibble.checkpoint.source.BadCheckpointException if a weight is not finite
     */
    LinearQuantizer quantizer(Weight placed, DenseWeight original, Path file, QuantizationSpec spec);

    /**
     * Makes moments of an input on two streams, all zero.
     *
     * @param columns features of the input
     * @param residual features of the residual stream that the linear adds to, for o_proj and down_proj; else 0
     */
    PairedMoments pairedMoments(int columns, int residual);

    /** Returns how many elements moments of gates and ups of a layer's experts may have together. */
    default long expertElements(ModelConfig config, Streams streams) {
        return ExpertTurns.ELEMENTS;
    }

    /**
     * Brings a weight to where this backend computes, for many operations; on the host it stays where it is.
     *
     * @param weight quantized, of the host
     */
    default PlacedWeight bring(Weight weight) {
        return new PlacedWeight(weight, () -> {});
    }

    /** Computes {@code out[m, n] = a[m, k] b[n, k]ᵀ}; all three single precision. */
    void multiplyTransposed(Matrix a, Matrix b, Matrix out);

    /**
     * Computes {@code moment[k, k] += x[t, k]ᵀ x[t, k]}; moment must be symmetric and stays exactly so.
     *
     * @param x activations
     * @param moment single precision
     */
    void addSecondMoment(Matrix x, Matrix moment);

    /** Computes {@code out = a − b}, element by element; out may be a or b. */
    void subtract(Matrix a, Matrix b, Matrix out);

    /** Returns {@code Σ x²} over all elements of activations. */
    double squares(Matrix x);

    /**
     * Computes {@code moment[m, k] += y[t, m]ᵀ x[t, k]}.
     *
     * @param y activations of as many tokens as x
     * @param x activations
     * @param moment single precision
     */
    void addCrossMoment(Matrix y, Matrix x, Matrix moment);
}
