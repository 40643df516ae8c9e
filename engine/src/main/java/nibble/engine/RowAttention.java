package nibble.engine;

import nibble.engine.tensor.Matrix;

/** Mixes the rows of a layer: the part of it in which tokens see one another. */
@FunctionalInterface
public interface RowAttention {
    /**
     * Computes {@code out} from queries, keys and values that are not yet rotated.
     *
     * @param query [rows, heads * head_dim], changed in place; key and value likewise with the key/value heads
     */
    void run(Matrix query, Matrix key, Matrix value, Matrix out);
}
