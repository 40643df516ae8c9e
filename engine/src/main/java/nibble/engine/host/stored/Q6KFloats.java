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
                Stored.floats(q.sub(32)).mul(scales[element >> 4]).intoArray(into, to + 256 * block + element);
                Stored.floats(p.sub(32))
                        .mul(scales[(element >> 4) + 4])
                        .intoArray(into, to + 256 * block + element + 64);
            }
        }
    }
}
