package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import nibble.engine.host.vector.Lanes;

/**
 * Q4_K: 256 weights {@code d s q - m t} in 144 bytes, in eight groups of 32 with scales s and minima t of 6 bits.
 *
 * <pre>
 * d fp16  m fp16  scales[12]  qs[128]: 32 bytes for two groups, low nibbles the first, high nibbles the second
 *
 * Σ_k x[k] w[k]  =  Σ_group d s Σ_j x[j] q[j]  −  Σ_group m t Σ_j x[j]
 * </pre>
 */
final class Q4K implements BlockRows.RowDot {
    private static final int BYTES = 144;

    /** Returns x with every second group divided by 16, then the sum of each group. */
    @Override
    public float[] prepare(float[] x, int offset, int columns) {
        float[] prepared = Stored.copy(x, offset, columns, columns / 32);
        for (int group = 0; group < columns / 32; group++) {
            prepared[columns + group] = Stored.sum(prepared, 32 * group, 32);
            if (group % 2 == 1) {
                for (int i = 32 * group; i < 32 * group + 32; i++) {
                    prepared[i] *= Stored.HIGH_NIBBLE;
                }
            }
        }
        return prepared;
    }

    @Override
    public float one(long row, int columns, float[] x) {
        FloatVector low = FloatVector.zero(FLOATS);
        FloatVector high = low;
        float minima = 0;
        for (int block = 0; block < columns / 256; block++) {
            long from = row + BYTES * (long) block;
            float d = Stored.half(from);
            KScales scales = KScales.at(from + 4);
            for (int pair = 0; pair < 4; pair++) {
                FloatVector first = FloatVector.zero(FLOATS);
                FloatVector second = first;
                for (int i = 0; i < 32; i += COUNT) {
                    int k = 256 * block + 64 * pair + i;
                    IntVector q = Stored.unsigned(from + 16 + 32 * pair + i);
                    first = Stored.floats(q.and(0x0f)).fma(FloatVector.fromArray(FLOATS, x, k), first);
                    second = Stored.floats(q.and(0xf0)).fma(FloatVector.fromArray(FLOATS, x, k + 32), second);
                }
                low = first.fma(FloatVector.broadcast(FLOATS, d * scales.scale(2 * pair)), low);
                high = second.fma(FloatVector.broadcast(FLOATS, d * scales.scale(2 * pair + 1)), high);
            }
            minima = Math.fma(Stored.half(from + 2), minima(scales, x, columns + 8 * block), minima);
        }
        return Lanes.sum(low.add(high)) - minima;
    }

    @Override
    public void two(long first, long second, int columns, float[] x, float[] out, int to, int secondTo) {
        out[to] = one(first, columns, x);
        out[secondTo] = one(second, columns, x);
    }

    /** {@code Σ_group t Σ_j x[j]} of a block. */
    private static float minima(KScales scales, float[] x, int sums) {
        float sum = 0;
        for (int group = 0; group < 8; group++) {
            sum = Math.fma(scales.minimum(group), x[sums + group], sum);
        }
        return sum;
    }
}
