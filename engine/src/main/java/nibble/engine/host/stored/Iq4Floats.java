package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import nibble.checkpoint.gguf.BlockDecoder;

/**
 * IQ4_NL and IQ4_XS: a nibble is an index of sixteen values, which fit a vector of sixteen floats.
 *
 * <pre>
 * IQ4_NL   32 weights: d fp16, qs[16]
 * IQ4_XS  256 weights: d fp16, eight high pairs of scale bits (u16), eight low nibbles of scales, qs[128]
 * </pre>
 */
final class Iq4Floats implements BlockFloats {
    private static final IntVector VALUES = IntVector.fromArray(Stored.INTS, valueBits(), 0);

    private final boolean superBlocks;

    Iq4Floats(boolean superBlocks) {
        this.superBlocks = superBlocks;
    }

    private static int[] valueBits() {
        int[] bits = new int[Stored.INTS.length()];
        for (int i = 0; i < Math.min(16, bits.length); i++) {
            bits[i] = Float.floatToRawIntBits(BlockDecoder.iq4Value(i));
        }
        return bits;
    }

    @Override
    public void decode(long at, int count, float[] into, int to) {
        for (int group = 0; group < (superBlocks ? 8 * count : count); group++) {
            if (superBlocks) {
                long from = at + 136 * (long) (group / 8);
                int g = group % 8;
                int low = Stored.octet(from + 4 + g / 2) >> 4 * (g % 2) & 15;
                int high = Stored.octet(from + 2 + g / 4) >> 2 * (g % 4) & 3;
                float d = Stored.half(from) * ((low | high << 4) - 32);
                write(from + 8 + 16 * g, d, into, to + 32 * group);
            } else {
                long from = at + 18 * (long) group;
                write(from + 2, Stored.half(from), into, to + 32 * group);
            }
        }
    }

    private static void write(long codes, float scale, float[] into, int to) {
        IntVector pairs = Stored.unsigned(codes);
        FloatVector d = FloatVector.broadcast(FLOATS, scale);
        pairs.and(15).selectFrom(VALUES).reinterpretAsFloats().mul(d).intoArray(into, to);
        pairs.lanewise(VectorOperators.LSHR, 4)
                .selectFrom(VALUES)
                .reinterpretAsFloats()
                .mul(d)
                .intoArray(into, to + 16);
    }
}
