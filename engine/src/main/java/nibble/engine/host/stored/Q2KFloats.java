package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
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
        for (int group = 0; group < 16 * count; group++) {
            long from = at + BYTES * (long) (group / 16);
            int g = group % 16;
            int scale = Stored.octet(from + g);
            FloatVector d = FloatVector.broadcast(FLOATS, Stored.half(from + 80) * (scale & 15));
            FloatVector m = FloatVector.broadcast(FLOATS, -Stored.half(from + 82) * (scale >> 4 & 15));
            long codes = from + 16 + 32 * (g / 8) + 16 * (g % 2);
            int shift = 2 * (g % 8 / 2);
            for (int i = 0; i < 16; i += COUNT) {
                Stored.floats(Stored.unsigned(codes + i)
                                .lanewise(VectorOperators.LSHR, shift)
                                .and(3))
                        .fma(d, m)
                        .intoArray(into, to + 16 * group + i);
            }
        }
    }
}
