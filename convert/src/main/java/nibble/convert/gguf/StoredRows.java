package nibble.convert.gguf;

import nibble.checkpoint.tensor.StoredTensor;
import nibble.pack.PackedLinear;
import nibble.pack.WeightReader;

/** The rows of a weight as floats, whatever form it is stored in. May be read by several threads at once. */
interface StoredRows {
    void read(long row, float[] into);

    /** Returns the rows of an F16, BF16 or F32 tensor, a vector being one row. */
    static StoredRows of(StoredTensor tensor) {
        return (row, into) ->
                WeightReader.floats(tensor.rows().read(row, 1), tensor.spec().dtype(), 0, into);
    }

    static StoredRows of(PackedLinear linear) {
        return (row, into) -> linear.dequantize((int) row, into, 0);
    }
}
