package nibble.engine;

/**
 * The operations of a Llama forward pass on one device. Matrices are fp32, row-major [tokens, features]; one belongs to the
 * backend that made it. Results never depend on the number of threads. {@link ReferenceBackend} is the specification.
 *
 * <p>A matrix of the wrong extents is an {@link IllegalArgumentException} that names the operation, found and expected.
 */
public interface Backend extends AutoCloseable {
    /** Device and instruction set, for the reader of a report. */
    String description();

    /** A matrix of zeros. */
    Matrix allocate(int rows, int columns);

    /** A copy of row-major values. */
    Matrix upload(float[] values, int rows, int columns);

    /** A copy of all values, row-major. */
    float[] download(Matrix matrix);

    /** Rows {@code from .. from + count}, row-major. */
    float[] download(Matrix matrix, int from, int count);

    /** Rows {@code from .. from + count} of {@code source} into rows {@code firstRow ..} of {@code target}. */
    void copyRows(Matrix source, int from, int count, Matrix target, int firstRow);

    /** {@code out[t] = embedding[ids[t]]}. */
    void embed(DenseWeight embedding, int[] ids, Matrix out);

    /** {@code out[t] = x[t] / sqrt(mean(x[t]²) + epsilon) * weight}; out may be x. */
    void rmsNorm(Matrix x, float[] weight, double epsilon, Matrix out);

    /** {@code out[t, n] = Σ_k x[t, k] weight[n, k]}. */
    void linear(Weight weight, Matrix x, Matrix out);

    /**
     * Rotary embedding in place, by halves as Hugging Face has it: elements i and i + head_dim/2 of each head turn by the
     * angle of position {@code firstPosition + t}.
     */
    void rope(Matrix x, int headDim, RotaryTable table, int firstPosition);

    /**
     * Causal softmax attention, scores scaled by 1/sqrt(head_dim): query row t stands at position {@code firstPosition + t}
     * and sees the key rows 0 to that position.
     *
     * @param query [tokens, heads * head_dim], rotated
     * @param keys [at least firstPosition + tokens, kv_heads * head_dim], rotated; rows beyond are not read
     * @param values as keys
     * @param out as query
     */
    void attention(AttentionShape shape, Matrix query, int firstPosition, Matrix keys, Matrix values, Matrix out);

    /** {@code out = silu(gate) * up}, element by element; out may be gate or up. */
    void swiglu(Matrix gate, Matrix up, Matrix out);

    /** {@code into += x}. */
    void add(Matrix x, Matrix into);

    /**
     * {@code log softmax(x[t] headᵀ)[next[t]]} for each row: logits are made a tile at a time, never all of them.
     *
     * @param x after the final norm, [tokens, hidden]
     * @param next one id a row
     */
    float[] logProbabilities(DenseWeight head, Matrix x, int[] next);

    /** {@code out[m, n] = a[m, k] b[n, k]ᵀ}. */
    void multiplyTransposed(Matrix a, Matrix b, Matrix out);

    /** {@code moment[k, k] += x[t, k]ᵀ x[t, k]}; moment must be symmetric and stays exactly so. */
    void addSecondMoment(Matrix x, Matrix moment);

    @Override
    void close();
}
