package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import nibble.engine.host.vector.Lanes;

/**
 * Q8_0: 32 weights {@code d q} in 34 bytes, a fp16 scale d and 32 signed bytes q.
 *
 * <pre>
 * Σ_k x[k] w[k]  =  Σ_block d Σ_j x[j] q[j]
 * </pre>
 */
final class Q8Zero implements BlockRows.RowDot {
    private static final int BYTES = 34;

    @Override
    public float[] prepare(float[] x, int offset, int columns) {
        return Stored.copy(x, offset, columns, 0);
    }

    @Override
    public float of(MemorySegment data, long at, int columns, float[] x) {
        FloatVector even = FloatVector.zero(FLOATS);
        FloatVector odd = even;
        int blocks = columns / 32;
        int block = 0;
        for (; block + 1 < blocks; block += 2) {
            long from = at + BYTES * (long) block;
            even = block(data, from + 2, x, 32 * block)
                    .fma(FloatVector.broadcast(FLOATS, Stored.half(data, from)), even);
            odd = block(data, from + BYTES + 2, x, 32 * block + 32)
                    .fma(FloatVector.broadcast(FLOATS, Stored.half(data, from + BYTES)), odd);
        }
        if (block < blocks) {
            long from = at + BYTES * (long) block;
            even = block(data, from + 2, x, 32 * block)
                    .fma(FloatVector.broadcast(FLOATS, Stored.half(data, from)), even);
        }
        return Lanes.sum(even.add(odd));
    }

    private static FloatVector block(MemorySegment data, long at, float[] x, int k) {
        FloatVector sum = FloatVector.zero(FLOATS);
        for (int i = 0; i < 32; i += COUNT) {
            sum = Stored.signed(data, at + i).fma(FloatVector.fromArray(FLOATS, x, k + i), sum);
        }
        return sum;
    }
}
