package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Q3_K: 256 weights {@code d (s - 32) (q - 4)} in sixteen groups of 16.
 *
 * <pre>
 * hmask[32]: bit g / 2 of a byte is bit 2 of q   qs[64]: bits 0 and 1, as in Q2_K   scales[12]   d fp16
 *
 * low nibbles of s of groups 0 to 7 and of 8 to 15 share bytes 0 to 7; bytes 8 to 11 hold the high pairs of bits
 * </pre>
 */
final class Q3KFloats implements BlockFloats {
    private static final int BYTES = 110;

    @Override
    public void decode(long at, int count, float[] into, int to) {
        for (int block = 0; block < count; block++) {
            long from = at + BYTES * (long) block;
            float d = Stored.half(from + 108);
            for (int group = 0; group < 16; group++) {
                int low = Stored.octet(from + 96 + group % 8) >> 4 * (group / 8) & 15;
                int high = Stored.octet(from + 104 + group % 4) >> 2 * (group / 4) & 3;
                float scale = d * ((low | high << 4) - 32);
                group(from, group, scale, into, to + 256 * block + 16 * group);
            }
        }
    }

    private static void group(long block, int group, float scale, float[] into, int to) {
        FloatVector d = FloatVector.broadcast(FLOATS, scale);
        long codes = block + 32 + 32 * (group / 8) + 16 * (group % 2);
        long mask = block + 16 * (group % 2);
        int shift = 2 * (group % 8 / 2);
        for (int i = 0; i < 16; i += COUNT) {
            IntVector bits = Stored.unsigned(codes + i)
                    .lanewise(VectorOperators.LSHR, shift)
                    .and(3);
            IntVector third = Stored.unsigned(mask + i)
                    .lanewise(VectorOperators.LSHR, group / 2)
                    .and(1)
                    .lanewise(VectorOperators.LSHL, 2);
            Stored.floats(bits.or(third).sub(4)).mul(d).intoArray(into, to + i);
        }
    }
}
