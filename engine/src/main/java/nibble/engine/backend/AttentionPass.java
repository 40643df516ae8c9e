package nibble.engine.backend;

import nibble.engine.attention.AttentionShape;
import nibble.engine.tensor.Matrix;

/**
 * Names what went through {@link LayerOperations#attention} over whole sequences, and the gradients of it.
 *
 * @param out what attention gave
 * @param dOut gradient of that
 * @param dQuery takes the gradient of the query; the last two likewise
 */
public record AttentionPass(
        Matrix query,
        Matrix keys,
        Matrix values,
        Matrix out,
        Matrix dOut,
        Matrix dQuery,
        Matrix dKeys,
        Matrix dValues) {
    /** Checks the extents of all. */
    public void check(AttentionShape shape, int sequences) {
        Extents.attention(shape, sequences, query, 0, keys, values, out);
        Extents.attention(shape, sequences, dQuery, 0, dKeys, dValues, dOut);
        Extents.require("gradient of attention", "keys", keys, query.rows(), shape.keyColumns());
        Extents.require("gradient of attention", "dKeys", dKeys, query.rows(), shape.keyColumns());
        Extents.require("gradient of attention", "dQuery", dQuery, query.rows(), shape.queryColumns());
    }
}
