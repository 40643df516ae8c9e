package nibble.engine.host.natives;

import static nibble.engine.host.natives.NativeFunction.floats;

import java.lang.foreign.MemorySegment;
import nibble.engine.backend.Activations;
import org.jspecify.annotations.Nullable;

/**
 * Holds rows of activations in a form that a kernel takes.
 *
 * @param memory that {@link Inputs} lend
 * @param kernels that prepare them; null for rows as they are
 * @param form by the library's numbers
 * @param stride floats from one row to the next
 */
public record Prepared(MemorySegment memory, @Nullable Kernels kernels, int form, int columns, int rows, int stride) {
    private static final NativeFunction PREPARE = NativeFunction.of("prepare");

    /** Returns the form of activations that these are made of. */
    Activations activations() {
        return kernels == null ? Activations.FP32 : kernels.activations();
    }

    /** Prepares rows that lie one after another from the array's beginning. */
    void fill(float[] x) {
        if (kernels == null) {
            return;
        }
        for (int row = 0; row < rows; row++) {
            MemorySegment to = memory.asSlice(bytes(row, stride), bytes(1, stride));
            PREPARE.call(new long[] {kernels.set(), kernels.way(), form, columns}, floats(x, row * columns), to);
        }
    }

    MemorySegment from(int row) {
        return row == 0 ? memory : memory.asSlice((long) Float.BYTES * row * stride);
    }

    /** The bytes that so many rows take. */
    static long bytes(int rows, int stride) {
        return (long) Float.BYTES * rows * stride;
    }
}
