package nibble.checkpoint.gguf;

import java.lang.foreign.MemorySegment;
import nibble.checkpoint.tensor.HeadRows;

/**
 * Holds a matrix as a GGUF file has it. Borrows the mapped file.
 *
 * @param type of its elements, plain or in blocks; rows are whole blocks
 * @param data all rows, in the file's order
 * @param headDim rows of a head whose rows the file interleaves; 0 where rows stand in Hugging Face's order
 */
public record GgufBlocks(GgufType type, MemorySegment data, int rows, int columns, int headDim) {
    /** Returns the bytes of a row. */
    public long rowBytes() {
        return type.bytes(columns);
    }

    /** Returns where the row begins that has this number in Hugging Face's order. */
    public long offset(int row) {
        return (headDim == 0 ? row : HeadRows.interleaved(row, headDim)) * rowBytes();
    }

    /** Returns some rows, of a matrix whose rows are in order. */
    public GgufBlocks part(int first, int count) {
        if (headDim != 0) {
            throw new IllegalStateException("a matrix of interleaved rows is used whole");
        }
        return new GgufBlocks(type, data.asSlice(first * rowBytes(), count * rowBytes()), count, columns, 0);
    }
}
