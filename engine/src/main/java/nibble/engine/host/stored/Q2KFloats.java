package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Q2_K: 256 weights {@code d s q - m t} in sixteen groups of 16.
 *
 * <pre>
 * scales[16]: low nibble s, high nibble t   qs[64]   d fp16  m fp16
 *
 * group g takes bits 2 (g % 8 / 2) and the next of 16 bytes of qs, from 32 (g / 8) + 16 (g % 2) on
 * </pre>
 */
final class Q2KFloats implements BlockFloats {
    private static final int BYTES = 84;

    @Override
    public void decode(long at, int count, float[] into, int to) {
        float[] scales = new float[32];
        for (int block = 0; block < count; block++) {
            long from = at + BYTES * (long) block;
            scales(from, scales);
            for (int group = 0; group < 16; group++) {
                group(from, group, scales[group], scales[16 + group], into, to + 256 * block + 16 * group);
            }
        }
    }

    /** d s of the sixteen groups, then - m t. */
    private static void scales(long block, float[] into) {
        float d = Stored.half(block + 80);
        float m = -Stored.half(block + 82);
        for (int i = 0; i < 16; i += COUNT) {
            IntVector both = Stored.unsigned(block + i);
            Stored.floats(both.and(15)).mul(d).intoArray(into, i);
            Stored.floats(both.lanewise(VectorOperators.LSHR, 4)).mul(m).intoArray(into, 16 + i);
        }
    }

    private static void group(long block, int group, float scale, float minimum, float[] into, int to) {
        FloatVector d = FloatVector.broadcast(FLOATS, scale);
        FloatVector m = FloatVector.broadcast(FLOATS, minimum);
        long codes = block + 16 + 32 * (group / 8) + 16 * (group % 2);
        int shift = 2 * (group % 8 / 2);
        for (int i = 0; i < 16; i += COUNT) {
            IntVector bits = Stored.unsigned(codes + i).lanewise(VectorOperators.LSHR, shift);
            Stored.floats(bits.and(3)).fma(d, m).intoArray(into, to + i);
        }
    }
}
