package nibble.engine.backend;

import java.util.List;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.attention.SequencePart;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Norm;
import nibble.engine.tensor.Weight;

/**
 * Computes the operations of a forward pass on one device. A matrix of the wrong extents is an {@link
 * IllegalArgumentException} that names the operation, found and expected.
 */
public interface LayerOperations extends Matrices {
    /** Computes {@code out[t] = embedding[ids[t]]}. */
    void embed(Weight embedding, int[] ids, Matrix out);

    /** Computes {@code out[t] = x[t] / sqrt(mean(x[t]²) + epsilon) * weight}; out may be x. */
    void rmsNorm(Matrix x, float[] weight, double epsilon, Matrix out);

    /**
     * Computes the {@link #rmsNorm} of each head by itself, in place: x is read as {@code rows * columns / head_dim}
     * rows.
     *
     * @param weight [head_dim], which divides x's columns
     */
    void rmsNormHeads(Matrix x, float[] weight, double epsilon);

    /**
     * Computes {@code (x - mean(x)) / sqrt(mean((x - mean(x))²) + epsilon) * weight} of each head by itself, in place.
     *
     * @param weight [x's columns], a gain for each value of all heads
     * @param headDim divides x's columns
     */
    void layerNormHeads(Matrix x, float[] weight, int headDim, double epsilon);

    /** Computes {@code out[t] = x[t] - mean(x[t])}; out may be x. */
    void center(Matrix x, Matrix out);

    /** Computes a norm of each row, with its mean subtracted and a bias added where the norm has that; out may be x. */
    default void norm(Matrix x, Norm norm, double epsilon, Matrix out) {
        if (norm.centered()) {
            center(x, out);
        }
        rmsNorm(norm.centered() ? out : x, norm.gain(), epsilon, out);
        if (norm.bias().length > 0) {
            addBias(norm.bias(), out);
        }
    }

    /** Computes {@code into[t, n] += bias[n]}. */
    void addBias(float[] bias, Matrix into);

    /** Computes {@code x *= factor}. */
    void scale(Matrix x, float factor);

    /**
     * Computes {@code x = most tanh(x / most)}.
     *
     * @param x single precision, as logits are
     */
    void cap(Matrix x, float most);

    /** Computes {@code out[t, n] = Σ_k x[t, k] weight[n, k]}; out may be single precision, as for logits. */
    void linear(Weight weight, Matrix x, Matrix out);

    /** Computes {@link #linear} of several weights that share their input. */
    default void linears(List<Weight> weights, Matrix x, List<Matrix> outs) {
        for (int i = 0; i < weights.size(); i++) {
            linear(weights.get(i), x, outs.get(i));
        }
    }

    /** Computes {@code into[t, n] += Σ_k x[t, k] weight[n, k]}. */
    default void addLinear(Weight weight, Matrix x, Matrix into) {
        try (Matrix product = allocate(x.rows(), weight.outFeatures())) {
            linear(weight, x, product);
            add(product, into);
        }
    }

    /**
     * Applies the rotary embedding in place, by halves as Hugging Face has it: elements i and i + head_dim/2 of each
     * head turn by the angle of the row's position. Row t of a sequence stands at {@code firstPosition + t}.
     *
     * @param x {@code sequences} sequences of equal length, one after another
     */
    void rope(Matrix x, int headDim, RotaryTable table, int sequences, int firstPosition);

    /**
     * Computes causal softmax attention, scores scaled and capped as the shape has it: query row t of a sequence stands
     * at position {@code firstPosition + t} and sees that sequence's key rows 0 to that position, or the last {@code
     * shape.window()} of them.
     *
     * @param sequences sequences of equal length that lie one after another in each of the matrices
     * @param query [sequences * tokens, heads * head_dim], rotated
     * @param keys [sequences * at least (firstPosition + tokens), kv_heads * head_dim], rotated; rows beyond are not
     *     read
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
     * Computes causal attention of a part of the rows of a longer matrix. The same rows of {@code out} are written, and
     * no others.
     */
    default void attention(
            AttentionShape shape, SequencePart part, Matrix query, Matrix keys, Matrix values, Matrix out) {
        Extents.attention(shape, part, query, keys, values, out);
        int rows = part.rows();
        try (Matrix q = allocate(rows, query.columns());
                Matrix k = allocate(part.seen(), keys.columns());
                Matrix v = allocate(part.seen(), values.columns());
                Matrix o = allocate(rows, out.columns())) {
            copyRows(query, part.firstRow(), rows, q, 0);
            copyRows(keys, part.firstKey(), part.seen(), k, 0);
            copyRows(values, part.firstKey(), part.seen(), v, 0);
            attention(shape, 1, q, part.firstPosition(), k, v, o);
            copyRows(o, 0, rows, out, part.firstRow());
        }
    }

    /**
     * Computes causal attention of parts of several sequences, whose keys and values lie in blocks. The rows of {@code
     * out} of all parts are written, and no others.
     *
     * @param keys [blocks * rows of a block, kv_heads * head_dim], rotated; values likewise
     */
    default void attention(
            AttentionShape shape,
            List<SequencePart.InBlocks> parts,
            Matrix query,
            Matrix keys,
            Matrix values,
            Matrix out) {
        for (SequencePart.InBlocks part : parts) {
            Extents.attention(shape, part, query, keys, values, out);
            try (Matrix k = allocate(part.seen(), keys.columns());
                    Matrix v = allocate(part.seen(), values.columns())) {
                for (int position = 0; position < part.seen(); position += part.blockTokens()) {
                    int rows = Math.min(part.blockTokens(), part.seen() - position);
                    copyRows(keys, part.keyRow(position), rows, k, position);
                    copyRows(values, part.keyRow(position), rows, v, position);
                }
                SequencePart contiguous = new SequencePart(part.firstRow(), part.rows(), part.firstPosition(), 0);
                attention(shape, contiguous, query, k, v, out);
            }
        }
    }

    /** Copies row i of {@code source} into row {@code rows[i]} of {@code target}. */
    default void scatterRows(Matrix source, int[] rows, Matrix target) {
        for (int from = 0; from < rows.length; ) {
            int count = 1;
            while (from + count < rows.length && rows[from + count] == rows[from] + count) {
                count++;
            }
            copyRows(source, from, count, target, rows[from]);
            from += count;
        }
    }

    /** Copies row {@code rows[i]} of {@code source} into row i of {@code target}. */
    default void gatherRows(Matrix source, int[] rows, Matrix target) {
        for (int from = 0; from < rows.length; ) {
            int count = 1;
            while (from + count < rows.length && rows[from + count] == rows[from] + count) {
                count++;
            }
            copyRows(source, rows[from], count, target, from);
            from += count;
        }
    }

    /** Says of a column of {@link #gatherColumns} that it stays as it is. */
    int KEPT = -1;

    /** Says of a column of {@link #gatherColumns} that it becomes 0. */
    int ZERO = -2;

    /**
     * Copies column {@code columns[j]} of {@code source} into column j of {@code target}; {@link #KEPT} and {@link
     * #ZERO} stand for no column of it.
     *
     * @param columns not changed from one call to another: a device keeps it by its identity
     */
    void gatherColumns(Matrix source, int[] columns, Matrix target);

    /**
     * Computes {@code into[t] += Σ_j weights[t * k + j] products[places[t * k + j]]}, with one rounding of the sum to
     * the precision of {@code into}.
     *
     * @param places rows of {@code products}, k for each row of {@code into}
     */
    void mixRows(Matrix products, int[] places, float[] weights, Matrix into);

    /** Computes {@code out = activation(gate) * up}, element by element; out may be gate or up. */
    void glu(Activation activation, Matrix gate, Matrix up, Matrix out);

    /** Computes {@code into += x}. */
    void add(Matrix x, Matrix into);
}
