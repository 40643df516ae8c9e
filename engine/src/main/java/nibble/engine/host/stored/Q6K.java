package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import nibble.engine.host.vector.Lanes;

/**
 * Q6_K: 256 weights {@code d s (q - 32)} in 210 bytes, in sixteen groups of 16 with signed scales s of a byte.
 *
 * <pre>
 * ql[128]  qh[64]  scales[16]  d fp16
 *
 * for each half of 128: 64 bytes of ql and 32 of qh; quarter p of 32 elements takes
 *   bits 0-3 of q from ql[32 (p % 2) + l], low nibble for p = 0 and 1, high nibble for p = 2 and 3
 *   bits 4-5 of q from qh[l], bits 2p and 2p + 1
 *
 * Σ_k x[k] w[k]  =  Σ_group d s (Σ_j x[j] q[j]  −  32 Σ_j x[j])
 * </pre>
 *
 * <p>A step of the loop is a low and a high nibble of the same bytes: a body for all four quarters grows too large for
 * the compiler to keep its vectors in registers.
 */
final class Q6K implements BlockRows.RowDot {
    static final int BYTES = 210;

    /** Returns x, then 32 times the sum of each group. */
    @Override
    public float[] prepare(float[] x, int offset, int columns) {
        float[] prepared = Stored.copy(x, offset, columns, columns / 16);
        for (int group = 0; group < columns / 16; group++) {
            prepared[columns + group] = 32 * Stored.sum(prepared, 16 * group, 16);
        }
        return prepared;
    }

    @Override
    public float one(long row, int columns, float[] x) {
        FloatVector sum = FloatVector.zero(FLOATS);
        FloatVector other = sum;
        FloatVector offsets = sum;
        float[] scales = FloatRows.row(16);
        for (int block = 0; block < columns / 256; block++) {
            long from = row + BYTES * (long) block;
            scales(from, scales);
            for (int i = 0; i < 16; i += COUNT) {
                offsets = FloatVector.fromArray(FLOATS, scales, i)
                        .fma(FloatVector.fromArray(FLOATS, x, columns + 16 * block + i), offsets);
            }
            // Bytes of ql: bit 6 is the half of the block, bit 5 the pair of quarters, the rest l.
            for (int i = 0; i < 128; i += COUNT) {
                int l = i & 31;
                int second = i >> 5 & 1;
                int element = (i >> 6) * 128 + second * 32 + l;
                IntVector low = Stored.unsigned(from + i);
                IntVector high = Stored.unsigned(from + 128 + (i >> 6) * 32 + l);
                IntVector q = low.and(15)
                        .or(high.lanewise(VectorOperators.LSHL, 4 - 2 * second).and(48));
                IntVector p = low.lanewise(VectorOperators.LSHR, 4)
                        .or(high.lanewise(VectorOperators.LSHR, 2 * second).and(48));
                int k = 256 * block + element;
                sum = Stored.floats(q)
                        .mul(FloatVector.fromArray(FLOATS, x, k))
                        .fma(FloatVector.broadcast(FLOATS, scales[element >> 4]), sum);
                other = Stored.floats(p)
                        .mul(FloatVector.fromArray(FLOATS, x, k + 64))
                        .fma(FloatVector.broadcast(FLOATS, scales[(element >> 4) + 4]), other);
            }
        }
        return Lanes.sum(sum.add(other).sub(offsets));
    }

    /** d s of the groups of a block. */
    static void scales(long block, float[] into) {
        float d = Stored.half(block + 208);
        for (int i = 0; i < 16; i += COUNT) {
            Stored.signed(block + 192 + i).mul(d).intoArray(into, i);
        }
    }

    @Override
    public void two(long first, long second, int columns, float[] x, float[] out, int to, int secondTo) {
        out[to] = one(first, columns, x);
        out[secondTo] = one(second, columns, x);
    }
}
