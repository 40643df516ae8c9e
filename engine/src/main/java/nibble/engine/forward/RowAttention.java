package nibble.engine.forward;

import nibble.engine.tensor.Matrix;

/** Computes attention over the rows of a layer. */
@FunctionalInterface
public interface RowAttention {
    /**
     * Computes {@code out} from queries, keys and values that are not yet rotated.
     *
     * @param query [rows, heads * head_dim], changed in place; key and value likewise with the key/value heads
     */
    void run(Matrix query, Matrix key, Matrix value, Matrix out);
}
