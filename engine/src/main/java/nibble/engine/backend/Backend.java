package nibble.engine.backend;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.IntFunction;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.pack.QuantizationSpec;

/**
 * The operations of a Llama forward pass on one device. Matrices are row-major [tokens, features]; one belongs to the
 * backend that made it. Results never depend on the number of threads. {@link nibble.engine.host.ReferenceBackend} is the specification.
 *
 * <p>Activations have the precision the backend computes layers in: fp32 on the CPU, fp16 with fp32 sums on CUDA. Sums over many
 * tokens, and what is multiplied with them, are {@linkplain #allocateSingle single} precision everywhere.
 *
 * <p>A matrix of the wrong extents is an {@link IllegalArgumentException} that names the operation, found and expected.
 */
public interface Backend extends AutoCloseable {
    /** Device and instruction set, for the reader of a report. */
    String description();

    /** Describes what determines the bits of results: neither the number of threads nor which of several equal devices. */
    String arithmetic();

    /** Activations, all zero. */
    Matrix allocate(int rows, int columns);

    /** Activations with these row-major values, rounded to the backend's precision. */
    Matrix upload(float[] values, int rows, int columns);

    /** An fp32 matrix of zeros. */
    Matrix allocateSingle(int rows, int columns);

    /** An fp32 copy of row-major values. */
    Matrix uploadSingle(float[] values, int rows, int columns);

    /**
     * Brings a model's weights to where this backend computes, or as many of them as fit: the others follow layer by layer when
     * they are asked for. On the CPU the weights stay where they are.
     */
    PlacedModel place(ModelWeights weights);

    /**
     * Brings decoder layers to where this backend computes, one after another as they are asked for, the next one while one is
     * used.
     *
     * @param read a layer on the host; may be called ahead of its use, from another thread
     * @param layers their number
     */
    LayerFeed feed(IntFunction<DecoderLayer> read, int layers);

    /**
     * A store for the activations of a model that is being calibrated.
     *
     * @param elements of all batches together
     */
    default ActivationStore activationStore(long elements, ModelConfig config) {
        return new ResidentActivations();
    }

    /** Statistics of inputs with so many features, all zero. */
    InputStatistics statistics(int columns);

    /**
     * What quantizes a linear.
     *
     * @param placed the weight where this backend computes, not needed after this is closed
     * @param original the same weight on the host
     * @param file where it lies, for messages
     * @throws nibble.checkpoint.source.BadCheckpointException if a weight is not finite
     */
    LinearQuantizer quantizer(Weight placed, DenseWeight original, Path file, QuantizationSpec spec);

    /** What runs single tokens faster than {@link nibble.engine.Forward}, if this backend has it for a model of this kind. */
    default Optional<Decoder> decoder(PlacedModel model, KeyValueCache cache) {
        return Optional.empty();
    }

    /** Sequences of this many tokens that fill the device when they run as one batch; at least 1. */
    default int sequencesPerBatch(ModelConfig config, int tokens) {
        return 1;
    }

    /** A copy of all values, row-major. */
    float[] download(Matrix matrix);

    /** Rows {@code from .. from + count}, row-major. */
    float[] download(Matrix matrix, int from, int count);

    /** Rows {@code from .. from + count} of {@code source} into rows {@code firstRow ..} of {@code target}. */
    void copyRows(Matrix source, int from, int count, Matrix target, int firstRow);

    /** {@code out[t] = embedding[ids[t]]}. */
    void embed(Weight embedding, int[] ids, Matrix out);

    /** {@code out[t] = x[t] / sqrt(mean(x[t]²) + epsilon) * weight}; out may be x. */
    void rmsNorm(Matrix x, float[] weight, double epsilon, Matrix out);

    /**
     * {@link #rmsNorm} of each head by itself, in place: x is read as {@code rows * columns / head_dim} rows.
     *
     * @param weight [head_dim], which divides x's columns
     */
    void rmsNormHeads(Matrix x, float[] weight, double epsilon);

    /** {@code into[t, n] += bias[n]}. */
    void addBias(float[] bias, Matrix into);

    /** {@code x *= factor}. */
    void scale(Matrix x, float factor);

    /** {@code out[t, n] = Σ_k x[t, k] weight[n, k]}; out may be single precision, as for logits. */
    void linear(Weight weight, Matrix x, Matrix out);

    /** {@link #linear} of several weights that share their input. */
    default void linears(List<Weight> weights, Matrix x, List<Matrix> outs) {
        for (int i = 0; i < weights.size(); i++) {
            linear(weights.get(i), x, outs.get(i));
        }
    }

    /** {@code into[t, n] += Σ_k x[t, k] weight[n, k]}. */
    default void addLinear(Weight weight, Matrix x, Matrix into) {
        try (Matrix product = allocate(x.rows(), weight.outFeatures())) {
            linear(weight, x, product);
            add(product, into);
        }
    }

    /**
     * Rotary embedding in place, by halves as Hugging Face has it: elements i and i + head_dim/2 of each head turn by the
     * angle of the row's position. Row t of a sequence stands at {@code firstPosition + t}.
     *
     * @param x {@code sequences} sequences of equal length, one after another
     */
    void rope(Matrix x, int headDim, RotaryTable table, int sequences, int firstPosition);

    /**
     * Causal softmax attention, scores scaled by 1/sqrt(head_dim): query row t of a sequence stands at position
     * {@code firstPosition + t} and sees that sequence's key rows 0 to that position, or the last {@code shape.window()} of them.
     *
     * @param sequences sequences of equal length that lie one after another in each of the matrices
     * @param query [sequences * tokens, heads * head_dim], rotated
     * @param keys [sequences * at least (firstPosition + tokens), kv_heads * head_dim], rotated; rows beyond are not read
     * @param values as keys
     * @param out as query
     */
    void attention(
            AttentionShape shape,
            int sequences,
            Matrix query,
            int firstPosition,
            Matrix keys,
            Matrix values,
            Matrix out);

    /**
     * Causal attention of a part of the rows of a longer matrix: query rows {@code firstRow .. firstRow + rows} stand at
     * {@code firstPosition} and later of a sequence whose keys and values begin at row {@code firstKey}. The same rows of
     * {@code out} are written.
     */
    default void attention(
            AttentionShape shape,
            Matrix query,
            int firstRow,
            int rows,
            int firstPosition,
            Matrix keys,
            Matrix values,
            int firstKey,
            Matrix out) {
        Extents.attention(shape, query, firstRow, rows, firstPosition, keys, values, firstKey, out);
        int seen = firstPosition + rows;
        try (Matrix q = allocate(rows, query.columns());
                Matrix k = allocate(seen, keys.columns());
                Matrix v = allocate(seen, values.columns());
                Matrix o = allocate(rows, out.columns())) {
            copyRows(query, firstRow, rows, q, 0);
            copyRows(keys, firstKey, seen, k, 0);
            copyRows(values, firstKey, seen, v, 0);
            attention(shape, 1, q, firstPosition, k, v, o);
            copyRows(o, 0, rows, out, firstRow);
        }
    }

    /** {@code out = silu(gate) * up}, element by element; out may be gate or up. */
    void swiglu(Matrix gate, Matrix up, Matrix out);

    /** {@code out = gelu(gate) * up} by {@link nibble.checkpoint.model.Activation#GELU_TANH}, element by element; out may be gate or up. */
    void geglu(Matrix gate, Matrix up, Matrix out);

    /** {@code into += x}. */
    void add(Matrix x, Matrix into);

    /**
     * {@code log softmax(x[t] headᵀ)[next[t]]} for each row: logits are made a tile at a time, never all of them.
     *
     * @param x after the final norm, [tokens, hidden]
     * @param next one id a row
     */
    float[] logProbabilities(Weight head, Matrix x, int[] next);

    /** {@link #logProbabilities}, and with each the likeliest id of its row. */
    TokenScores score(Weight head, Matrix x, int[] next);

    /** {@code out[m, n] = a[m, k] b[n, k]ᵀ}; all three single precision. */
    void multiplyTransposed(Matrix a, Matrix b, Matrix out);

    /**
     * {@code moment[k, k] += x[t, k]ᵀ x[t, k]}; moment must be symmetric and stays exactly so.
     *
     * @param x activations
     * @param moment single precision
     */
    void addSecondMoment(Matrix x, Matrix moment);

    /** {@code out = a − b}, element by element; out may be a or b. */
    default void subtract(Matrix a, Matrix b, Matrix out) {
        throw new UnsupportedOperationException("subtract on " + description());
    }

    /**
     * {@code moment[m, k] += y[t, m]ᵀ x[t, k]}.
     *
     * @param y activations of as many tokens as x
     * @param x activations
     * @param moment single precision
     */
    default void addCrossMoment(Matrix y, Matrix x, Matrix moment) {
        throw new UnsupportedOperationException("addCrossMoment on " + description());
    }

    /**
     * Moments of an input on two streams, all zero.
     *
     * @param columns features of the input
     * @param residual features of the residual stream where its error counts, as behind o_proj and down_proj; else 0
     */
    default PairedMoments pairedMoments(int columns, int residual) {
        throw new UnsupportedOperationException("pairedMoments on " + description());
    }

    /** Says that the calling thread is about to use this backend, where it used another one before. */
    default void makeCurrent() {}

    /** The most memory of a device that was ever taken; 0 where memory is the host's. */
    default long peakDeviceBytes() {
        return 0;
    }

    /** Waits until all that was asked is done; only timing needs it, since {@code download} waits too. */
    default void synchronize() {}

    @Override
    void close();
}
