package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

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
    public float one(long row, int columns, float[] x) {
        FloatVector sum = FloatVector.zero(FLOATS);
        for (int block = 0; block < columns / 32; block++) {
            long at = row + BYTES * (long) block;
            FloatVector s = FloatVector.zero(FLOATS);
            for (int i = 0; i < 32; i += COUNT) {
                s = Stored.signed(at + 2 + i).fma(FloatVector.fromArray(FLOATS, x, 32 * block + i), s);
            }
            sum = s.fma(FloatVector.broadcast(FLOATS, Stored.half(at)), sum);
        }
        return Lanes.sum(sum);
    }

    @Override
    public void two(long first, long second, int columns, float[] x, float[] out, int to, int secondTo) {
        FloatVector sum = FloatVector.zero(FLOATS);
        FloatVector sum2 = sum;
        for (int block = 0; block < columns / 32; block++) {
            long at = first + BYTES * (long) block;
            long at2 = second + BYTES * (long) block;
            FloatVector s = FloatVector.zero(FLOATS);
            FloatVector s2 = s;
            for (int i = 0; i < 32; i += COUNT) {
                FloatVector xs = FloatVector.fromArray(FLOATS, x, 32 * block + i);
                s = Stored.signed(at + 2 + i).fma(xs, s);
                s2 = Stored.signed(at2 + 2 + i).fma(xs, s2);
            }
            sum = s.fma(FloatVector.broadcast(FLOATS, Stored.half(at)), sum);
            sum2 = s2.fma(FloatVector.broadcast(FLOATS, Stored.half(at2)), sum2);
        }
        out[to] = Lanes.sum(sum);
        out[secondTo] = Lanes.sum(sum2);
    }
}
