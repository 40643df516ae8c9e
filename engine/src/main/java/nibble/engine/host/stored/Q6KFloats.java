package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;

import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Q6_K as floats; {@link Q6K} shows the layout. */
final class Q6KFloats implements BlockFloats {
    @Override
    public void decode(long at, int count, float[] into, int to) {
        float[] scales = new float[16];
        for (int block = 0; block < count; block++) {
            long from = at + Q6K.BYTES * (long) block;
            Q6K.scales(from, scales);
            for (int half = 0; half < 2; half++) {
                for (int quarter = 0; quarter < 4; quarter++) {
                    quarter(from, half, quarter, scales, into, to + 256 * block);
                }
            }
        }
    }

    private static void quarter(long block, int half, int quarter, float[] scales, float[] into, int to) {
        for (int l = 0; l < 32; l += COUNT) {
            IntVector low = Stored.unsigned(block + 64 * half + 32 * (quarter % 2) + l)
                    .lanewise(VectorOperators.LSHR, 4 * (quarter / 2))
                    .and(15);
            IntVector high = Stored.unsigned(block + 128 + 32 * half + l)
                    .lanewise(VectorOperators.LSHR, 2 * quarter)
                    .and(3)
                    .lanewise(VectorOperators.LSHL, 4);
            int element = 128 * half + 32 * quarter + l;
            Stored.floats(low.or(high).sub(32)).mul(scales[element >> 4]).intoArray(into, to + element);
        }
    }
}
