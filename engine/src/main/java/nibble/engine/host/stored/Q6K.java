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
 * </pre>
 */
final class Q6K implements BlockRows.RowDot {
    private static final int BYTES = 210;

    @Override
    public float[] prepare(float[] x, int offset, int columns) {
        return Stored.copy(x, offset, columns, 0);
    }

    @Override
    public float one(long row, int columns, float[] x) {
        FloatVector total = FloatVector.zero(FLOATS);
        for (int block = 0; block < columns / 256; block++) {
            long from = row + BYTES * (long) block;
            FloatVector sum = FloatVector.zero(FLOATS);
            for (int half = 0; half < 2; half++) {
                for (int l = 0; l < 32; l += COUNT) {
                    long scales = from + 192 + 8 * half + l / 16;
                    int k = 256 * block + 128 * half + l;
                    IntVector a = Stored.unsigned(from + 64 * half + l);
                    IntVector b = Stored.unsigned(from + 64 * half + 32 + l);
                    IntVector high = Stored.unsigned(from + 128 + 32 * half + l);
                    IntVector q0 = a.and(0x0f)
                            .or(high.lanewise(VectorOperators.LSHL, 4).and(0x30));
                    IntVector q1 = b.and(0x0f)
                            .or(high.lanewise(VectorOperators.LSHL, 2).and(0x30));
                    IntVector q2 = a.lanewise(VectorOperators.LSHR, 4).or(high.and(0x30));
                    IntVector q3 = b.lanewise(VectorOperators.LSHR, 4)
                            .or(high.lanewise(VectorOperators.LSHR, 2).and(0x30));
                    sum = part(q0, x, k, Stored.octet(scales), sum);
                    sum = part(q1, x, k + 32, Stored.octet(scales + 2), sum);
                    sum = part(q2, x, k + 64, Stored.octet(scales + 4), sum);
                    sum = part(q3, x, k + 96, Stored.octet(scales + 6), sum);
                }
            }
            total = sum.fma(FloatVector.broadcast(FLOATS, Stored.half(from + 208)), total);
        }
        return Lanes.sum(total);
    }

    @Override
    public void two(long first, long second, int columns, float[] x, float[] out, int to, int secondTo) {
        out[to] = one(first, columns, x);
        out[secondTo] = one(second, columns, x);
    }

    private static FloatVector part(IntVector q, float[] x, int k, int scale, FloatVector sum) {
        return Stored.floats(q.sub(32))
                .mul(FloatVector.fromArray(FLOATS, x, k))
                .fma(FloatVector.broadcast(FLOATS, (float) scale), sum);
    }
}
