package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

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

    /** Returns x with the second half of each block divided by 16, then eight times the sum of each block. */
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
    public float one(long row, int columns, float[] x) {
        FloatVector sum = FloatVector.zero(FLOATS);
        float eights = 0;
        for (int block = 0; block < columns / 32; block++) {
            long at = row + BYTES * (long) block;
            float d = Stored.half(at);
            FloatVector s = FloatVector.zero(FLOATS);
            for (int i = 0; i < 16; i += COUNT) {
                FloatVector low = FloatVector.fromArray(FLOATS, x, 32 * block + i);
                FloatVector high = FloatVector.fromArray(FLOATS, x, 32 * block + 16 + i);
                s = add(at + 2 + i, low, high, s);
            }
            sum = s.fma(FloatVector.broadcast(FLOATS, d), sum);
            eights = Math.fma(d, x[columns + block], eights);
        }
        return Lanes.sum(sum) - eights;
    }

    @Override
    public void two(long first, long second, int columns, float[] x, float[] out, int to, int secondTo) {
        FloatVector sum = FloatVector.zero(FLOATS);
        FloatVector sum2 = sum;
        float eights = 0;
        float eights2 = 0;
        for (int block = 0; block < columns / 32; block++) {
            long at = first + BYTES * (long) block;
            long at2 = second + BYTES * (long) block;
            float d = Stored.half(at);
            float d2 = Stored.half(at2);
            FloatVector s = FloatVector.zero(FLOATS);
            FloatVector s2 = s;
            for (int i = 0; i < 16; i += COUNT) {
                FloatVector low = FloatVector.fromArray(FLOATS, x, 32 * block + i);
                FloatVector high = FloatVector.fromArray(FLOATS, x, 32 * block + 16 + i);
                s = add(at + 2 + i, low, high, s);
                s2 = add(at2 + 2 + i, low, high, s2);
            }
            sum = s.fma(FloatVector.broadcast(FLOATS, d), sum);
            sum2 = s2.fma(FloatVector.broadcast(FLOATS, d2), sum2);
            eights = Math.fma(d, x[columns + block], eights);
            eights2 = Math.fma(d2, x[columns + block], eights2);
        }
        out[to] = Lanes.sum(sum) - eights;
        out[secondTo] = Lanes.sum(sum2) - eights2;
    }

    private static FloatVector add(long at, FloatVector low, FloatVector high, FloatVector sum) {
        IntVector pairs = Stored.unsigned(at);
        return Stored.floats(pairs.and(0xf0))
                .fma(high, Stored.floats(pairs.and(0x0f)).fma(low, sum));
    }
}
