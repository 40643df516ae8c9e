package nibble.engine.forward;

import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;

/** Computes attention over the rows of a layer. */
@FunctionalInterface
public interface RowAttention {
    /**
     * Computes {@code out} from queries, keys and values that are not yet rotated.
     *
     * @param layer whose rows they are
     * @param query [rows, heads * head_dim], changed in place; key and value likewise with the key/value heads
     */
    void run(DecoderLayer layer, Matrix query, Matrix key, Matrix value, Matrix out);
}
