package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import nibble.engine.host.vector.Lanes;

/**
 * Q4_0: 32 weights {@code d (q - 8)} in 18 bytes.
 *
 * <pre>
 * d fp16   qs[16]: byte j holds q of element j (low nibble) and of element j + 16 (high nibble)
 *
 * Σ_k x[k] w[k]  =  Σ_block d (Σ_j x[j] q[j]  −  8 Σ_j x[j])
 * </pre>
 *
 * <p>High nibbles are not shifted down; the elements of x that meet them are divided by 16 beforehand, which is exact.
 */
final class Q4Zero implements BlockRows.RowDot {
    private static final int BYTES = 18;

    /** x with the second half of each block divided by 16, then eight times the sum of each block. */
    @Override
    public float[] prepare(float[] x, int offset, int columns) {
        float[] prepared = Stored.copy(x, offset, columns, columns / 32);
        for (int block = 0; block < columns / 32; block++) {
            prepared[columns + block] = 8 * Stored.sum(prepared, 32 * block, 32);
            for (int i = 32 * block + 16; i < 32 * block + 32; i++) {
                prepared[i] *= Stored.HIGH_NIBBLE;
            }
        }
        return prepared;
    }

    @Override
    public float of(MemorySegment data, long at, int columns, float[] x) {
        FloatVector even = FloatVector.zero(FLOATS);
        FloatVector odd = even;
        float eights = 0;
        int blocks = columns / 32;
        int block = 0;
        for (; block + 1 < blocks; block += 2) {
            float d0 = Stored.half(data, at + BYTES * (long) block);
            float d1 = Stored.half(data, at + BYTES * (long) block + BYTES);
            even = block(data, at + BYTES * (long) block + 2, x, 32 * block)
                    .fma(FloatVector.broadcast(FLOATS, d0), even);
            odd = block(data, at + BYTES * (long) block + BYTES + 2, x, 32 * block + 32)
                    .fma(FloatVector.broadcast(FLOATS, d1), odd);
            eights = Math.fma(d1, x[columns + block + 1], Math.fma(d0, x[columns + block], eights));
        }
        if (block < blocks) {
            float d = Stored.half(data, at + BYTES * (long) block);
            even = block(data, at + BYTES * (long) block + 2, x, 32 * block)
                    .fma(FloatVector.broadcast(FLOATS, d), even);
            eights = Math.fma(d, x[columns + block], eights);
        }
        return Lanes.sum(even.add(odd)) - eights;
    }

    /** {@code Σ_j x[j] q[j]} of a block, as lanes to be added. */
    private static FloatVector block(MemorySegment data, long at, float[] x, int k) {
        FloatVector sum = FloatVector.zero(FLOATS);
        for (int i = 0; i < 16; i += COUNT) {
            IntVector pairs = Stored.unsigned(data, at + i);
            sum = Stored.floats(pairs.and(0x0f)).fma(FloatVector.fromArray(FLOATS, x, k + i), sum);
            sum = Stored.floats(pairs.and(0xf0)).fma(FloatVector.fromArray(FLOATS, x, k + 16 + i), sum);
        }
        return sum;
    }
}
