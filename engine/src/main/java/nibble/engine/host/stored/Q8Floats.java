package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;

/** Q8_0: 32 weights {@code d q} in 34 bytes, a fp16 scale d and 32 signed bytes q. */
final class Q8Floats implements BlockFloats {
    private static final int BYTES = 34;

    @Override
    public void decode(long at, int count, float[] into, int to) {
        for (int block = 0; block < count; block++) {
            long from = at + BYTES * (long) block;
            float d = Stored.half(from);
            for (int i = 0; i < 32; i += COUNT) {
                Stored.signed(from + 2 + i).mul(d).intoArray(into, to + 32 * block + i);
            }
        }
    }
}
