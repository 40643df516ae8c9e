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
        for (int group = 0; group < 16 * count; group++) {
            long from = at + BYTES * (long) (group / 16);
            int g = group % 16;
            int low = Stored.octet(from + 96 + g % 8) >> 4 * (g / 8) & 15;
            int high = Stored.octet(from + 104 + g % 4) >> 2 * (g / 4) & 3;
            FloatVector d = FloatVector.broadcast(FLOATS, Stored.half(from + 108) * ((low | high << 4) - 32));
            long codes = from + 32 + 32 * (g / 8) + 16 * (g % 2);
            long mask = from + 16 * (g % 2);
            int shift = 2 * (g % 8 / 2);
            for (int i = 0; i < 16; i += COUNT) {
                IntVector bits = Stored.unsigned(codes + i)
                        .lanewise(VectorOperators.LSHR, shift)
                        .and(3);
                IntVector third = Stored.unsigned(mask + i)
                        .lanewise(VectorOperators.LSHR, g / 2)
                        .and(1)
                        .lanewise(VectorOperators.LSHL, 2);
                Stored.floats(bits.or(third).sub(4)).mul(d).intoArray(into, to + 16 * group + i);
            }
        }
    }
}
