package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import nibble.checkpoint.gguf.BlockDecoder;

/**
 * MXFP4: 32 weights in 17 bytes, an exponent e and 32 codes of a sign, two bits of exponent and one of fraction. The
 * eight magnitudes fit a vector.
 */
final class MxFloats implements BlockFloats {
    private static final int BYTES = 17;
    private static final IntVector MAGNITUDES = IntVector.fromArray(Stored.INTS, magnitudeBits(), 0);

    private static int[] magnitudeBits() {
        int[] bits = new int[COUNT];
        for (int i = 0; i < COUNT; i++) {
            bits[i] = Float.floatToRawIntBits(BlockDecoder.e2m1Doubled(i % 8));
        }
        return bits;
    }

    @Override
    public void decode(long at, int count, float[] into, int to) {
        for (int block = 0; block < count; block++) {
            long from = at + BYTES * (long) block;
            FloatVector d = FloatVector.broadcast(FLOATS, BlockDecoder.halfPowerOfTwo(Stored.octet(from) & 255));
            for (int i = 0; i < 16; i += COUNT) {
                IntVector pairs = Stored.unsigned(from + 1 + i);
                values(pairs.and(15), d).intoArray(into, to + 32 * block + i);
                values(pairs.lanewise(VectorOperators.LSHR, 4), d).intoArray(into, to + 32 * block + 16 + i);
            }
        }
    }

    private static FloatVector values(IntVector codes, FloatVector d) {
        FloatVector magnitude = codes.and(7).selectFrom(MAGNITUDES).reinterpretAsFloats();
        // A code of 8 is a zero like that of 0.
        return magnitude
                .blend(magnitude.neg(), codes.compare(VectorOperators.GT, 8).cast(FLOATS))
                .mul(d);
    }
}
