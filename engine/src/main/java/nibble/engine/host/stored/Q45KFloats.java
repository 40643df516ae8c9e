package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Q4_K and Q5_K: 256 weights {@code d s q - m t} in eight groups of 32.
 *
 * <pre>
 * d fp16  m fp16  scales[12]  [qh[32]: bit g of byte l is bit 4 of element l of group g]
 * qs[128]: 32 bytes for two groups, low nibbles the first, high nibbles the second
 * </pre>
 */
final class Q45KFloats implements BlockFloats {
    private final int bytes;
    private final int codes;
    private final boolean fifthBits;

    Q45KFloats(boolean fifthBits) {
        this.bytes = fifthBits ? 176 : 144;
        this.codes = fifthBits ? 48 : 16;
        this.fifthBits = fifthBits;
    }

    @Override
    public void decode(long at, int count, float[] into, int to) {
        for (int block = 0; block < count; block++) {
            long from = at + (long) bytes * block;
            float d = Stored.half(from);
            float m = Stored.half(from + 2);
            KScales scales = KScales.at(from + 4);
            for (int pair = 0; pair < 4; pair++) {
                float low = d * scales.scale(2 * pair);
                float high = d * scales.scale(2 * pair + 1);
                float lowMinimum = -m * scales.minimum(2 * pair);
                float highMinimum = -m * scales.minimum(2 * pair + 1);
                int target = to + 256 * block + 64 * pair;
                if (fifthBits) {
                    five(from, pair, low, high, lowMinimum, highMinimum, into, target);
                } else {
                    four(from + codes + 32 * pair, low, high, lowMinimum, highMinimum, into, target);
                }
            }
        }
    }

    private static void four(
            long from, float low, float high, float lowMinimum, float highMinimum, float[] into, int to) {
        FloatVector m0 = FloatVector.broadcast(FLOATS, lowMinimum);
        FloatVector m1 = FloatVector.broadcast(FLOATS, highMinimum);
        for (int i = 0; i < 32; i += COUNT) {
            IntVector q = Stored.unsigned(from + i);
            Stored.floats(q.and(15)).fma(FloatVector.broadcast(FLOATS, low), m0).intoArray(into, to + i);
            Stored.floats(q.lanewise(VectorOperators.LSHR, 4))
                    .fma(FloatVector.broadcast(FLOATS, high), m1)
                    .intoArray(into, to + 32 + i);
        }
    }

    private static void five(
            long block, int pair, float low, float high, float lowMinimum, float highMinimum, float[] into, int to) {
        FloatVector m0 = FloatVector.broadcast(FLOATS, lowMinimum);
        FloatVector m1 = FloatVector.broadcast(FLOATS, highMinimum);
        for (int i = 0; i < 32; i += COUNT) {
            IntVector q = Stored.unsigned(block + 48 + 32 * pair + i);
            IntVector fifth = Stored.unsigned(block + 16 + i).lanewise(VectorOperators.LSHR, 2 * pair);
            Stored.floats(q.and(15).or(fifth.lanewise(VectorOperators.LSHL, 4).and(16)))
                    .fma(FloatVector.broadcast(FLOATS, low), m0)
                    .intoArray(into, to + i);
            Stored.floats(q.lanewise(VectorOperators.LSHR, 4)
                            .or(fifth.lanewise(VectorOperators.LSHL, 3).and(16)))
                    .fma(FloatVector.broadcast(FLOATS, high), m1)
                    .intoArray(into, to + 32 + i);
        }
    }
}
