package nibble.engine.backend;

import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * Has the operations of a backward pass on one device: each turns the gradient of what an operation of
 * {@link LayerOperations} gave into that of what it was given. A gradient of a matrix is a matrix of its extents. The
 * gradient of {@link LayerOperations#rope} is the same with {@link RotaryTable#inverse}.
 *
 * <p>Matrices are those of {@link #layers}, unless another is named: fp32 on every device, since a gradient may be far
 * smaller than fp16's least number.
 */
public interface GradientOperations {
    /** Makes the matrices of forward and backward passes, and has the operations of the forward pass on them. */
    LayerOperations layers();

    /**
     * Says what of a tuning there is room for now.
     *
     * @param sequences of a step, each of {@code length} tokens
     * @param tapeColumns floats a token that a layer's forward pass leaves for its backward pass
     * @param movesCodes whether codes are tuned, which takes room for all of them and for their positions
     * @throws DeviceException if there is too little for any tuning
     */
    Room room(
            ModelConfig config, QuantizationSpec spec, int sequences, int length, long tapeColumns, boolean movesCodes);

    /** Returns whether there is room for the positions of all codes; parameters are those of {@link #room}. */
    boolean fitsCodes(ModelConfig config, QuantizationSpec spec, int sequences, int length, long tapeColumns);

    /**
     * Returns how many parts the gradient of a step is the sum of, each of equally many of its sequences. It depends on
     * nothing but their number, so that one device and several give the same bits.
     */
    int parts(int sequences);

    /** Marks a point in this device's work, that another device of its kind can wait for. */
    interface Mark extends AutoCloseable {
        /** Marks what was asked of the device so far. */
        void set();

        @Override
        void close();
    }

    /** Makes a mark on this device. */
    Mark mark();

    /** Lets this device's further work wait for what another one had been asked when the mark was set last. */
    void await(Mark mark);

    /** Makes a parameter that begins with these numbers. */
    Parameter parameter(float[] start);

    /**
     * Makes the positions of codes, [out, in], each at its code. What steps move is a position; the code is the integer
     * {@code floor(position + 1/2)}, and the codes change with every move. The gradient is that of a weight times its
     * scale, as if codes were not rounded.
     *
     * @param codes of a layer that stays where the device computes; borrowed
     */
    Parameter positions(PlacedCodes codes);

    /**
     * Makes an empty store.
     *
     * @param resident layers, the first ones added, that stay where the device computes
     */
    CodeStore codes(int resident);

    /** Brings an unquantized weight of the host to where the device computes, for many operations. */
    PlacedWeight place(Weight weight);

    /** Makes the weight {@code (code − zero) · scale}, not rounded to fp16, until it is closed. */
    PlacedWeight weight(PlacedCodes codes, Parameter scales);

    /** Does what {@link LayerOperations#rmsNorm} does, with a gain that is tuned. */
    void rmsNorm(Matrix x, Parameter gain, double epsilon, Matrix out);

    /** Does what {@link LayerOperations#rmsNormHeads} does, with a gain that is tuned. */
    void rmsNormHeads(Matrix x, Parameter gain, double epsilon);

    /**
     * Takes the mean of each row from it. The gradient of this is the same, so a norm that subtracts the mean is this
     * before {@link #rmsNorm}, and this behind the other's gradient.
     */
    void center(Matrix x);

    /** Computes {@code dx[t, k] = Σ_i Σ_n dy_i[t, n] weight_i[n, k]}, for linears that share their input. */
    void linears(List<Weight> weights, List<Matrix> dys, Matrix dx);

    /**
     * Adds {@code Σ_t dy[t, n] Σ_k (code − zero)[n, k] x[t, k]}, k over the columns of group g, to the gradient of
     * scale [n, g], and {@code scale[n, g] Σ_t dy[t, n] x[t, k]} to that of position [n, k].
     *
     * @param positions of the codes; null where they stay
     */
    void addScales(PlacedCodes codes, Matrix dy, Matrix x, Parameter scales, @Nullable Parameter positions);

    /**
     * Takes the gradient of {@link #rmsNorm}, and adds to the gradient of the gain.
     *
     * @param dx is added to
     */
    void addRmsNorm(Matrix x, Parameter gain, double epsilon, Matrix dy, Matrix dx);

    /**
     * Takes the gradient of {@link #rmsNormHeads}, and adds to the gradient of the gain.
     *
     * @param x before the norm
     * @param gradient of the result, becomes that of x
     */
    void rmsNormHeadsBack(Matrix x, Parameter gain, double epsilon, Matrix gradient);

    /**
     * Takes the gradient of {@link LayerOperations#attention} over whole sequences, each with its first token at
     * position 0.
     */
    void attention(AttentionShape shape, int sequences, AttentionPass pass);

    /** Takes the gradient of {@link LayerOperations#glu}; {@code dGate} may be {@code dOut}. */
    void glu(Activation activation, Matrix gate, Matrix up, Matrix dOut, Matrix dGate, Matrix dUp);

    /**
     * Computes the divergence of next-token distributions, {@code Σ_t KL(softmax(f[t] headᵀ) ‖ softmax(x[t] headᵀ))}
     * in nats. Logits are made for some rows at a time, never for all.
     *
     * @param cap c of {@code c tanh(logit / c)} in front of softmax; 0 for none
     * @param original f, after the original model's final norm; a matrix of the backend's own
     * @param x after the final norm; a matrix of the backend's own or of {@link #layers}
     * @param dx becomes {@code factor} times the gradient of x; null where it is not asked for
     */
    double divergence(Weight head, float cap, Matrix original, Matrix x, float factor, @Nullable Matrix dx);

    /**
     * Says what of a tuning a device has room for.
     *
     * @param codes layers whose codes stay where the device computes; those of the others are brought when they are
     * used
     * @param tapes layers whose activations are kept for the backward pass, at least 1; the others run forward again
     * @param movesCodes whether codes are tuned too
     * @param device bytes of the device that the tuning takes; 0 where memory is the host's
     * @param pinned bytes of the host that codes take which do not stay on the device
     */
    record Room(int codes, int tapes, boolean movesCodes, long device, long pinned) {}
}
