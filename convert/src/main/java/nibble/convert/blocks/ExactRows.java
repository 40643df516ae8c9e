package nibble.convert.blocks;

import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.function.LongUnaryOperator;
import nibble.checkpoint.gguf.GgufType;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.ByteBlocks;

/** Writes rows of blocks with the codes and scales of a quantized linear. */
@FunctionalInterface
public interface ExactRows {
    /** Writes a row's blocks. */
    void row(long row, byte[] into);

    /**
     * Writes some rows.
     *
     * @param order the linear's row of each
     */
    default void rows(long first, int count, byte[] into, LongUnaryOperator order) {
        byte[] row = new byte[into.length / count];
        for (int i = 0; i < count; i++) {
            row(order.applyAsLong(first + i), row);
            System.arraycopy(row, 0, into, i * row.length, row.length);
        }
    }

    /** Returns what writes a linear as a type that holds its codes; nothing where the type does not. */
    static Optional<ExactRows> of(QuantizedLinear linear, GgufType type) {
        if (type == GgufType.Q4_1 && linear.bits() == 4) {
            return Optional.of(new ExactQ4(linear)::row);
        }
        if (type == GgufType.Q8_0 && ByteBlocks.holds(linear)) {
            return Optional.of((row, into) -> ByteBlocks.row(linear, Math.toIntExact(row), ByteBuffer.wrap(into)));
        }
        return Optional.empty();
    }
}
