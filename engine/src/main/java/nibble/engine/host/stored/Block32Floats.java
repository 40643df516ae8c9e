package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Q4_0, Q4_1, Q5_0, Q5_1: 32 weights {@code d q + m}; {@code m} is stored, or a multiple of d.
 *
 * <pre>
 * d fp16   [m fp16]   [qh: 32 fifth bits]   qs[16]: low nibbles of elements 0 to 15, high nibbles of 16 to 31
 * </pre>
 */
final class Block32Floats implements BlockFloats {
    private static final IntVector[] TO_BIT_4 = new IntVector[32 / COUNT];

    static {
        for (int i = 0; i < TO_BIT_4.length; i++) {
            int first = i * COUNT;
            TO_BIT_4[i] = IntVector.fromArray(Stored.INTS, rotations(first), 0);
        }
    }

    private final int bytes;
    private final int codes;
    private final int offset;
    private final boolean fifthBits;

    /**
     * @param codes where the nibbles begin
     * @param offset m in units of d; 0 where m is stored
     */
    Block32Floats(int bytes, int codes, int offset, boolean fifthBits) {
        this.bytes = bytes;
        this.codes = codes;
        this.offset = offset;
        this.fifthBits = fifthBits;
    }

    /** How far the bits of elements {@code first} and on must be rotated to the left to stand at bit 4. */
    private static int[] rotations(int first) {
        int[] rotations = new int[COUNT];
        for (int lane = 0; lane < COUNT; lane++) {
            rotations[lane] = 4 - first - lane & 31;
        }
        return rotations;
    }

    @Override
    public void decode(long at, int count, float[] into, int to) {
        if (fifthBits) {
            five(at, count, into, to);
        } else {
            four(at, count, into, to);
        }
    }

    private float minimum(long block, float d) {
        return offset == 0 ? Stored.half(block + 2) : offset * d;
    }

    private void four(long at, int count, float[] into, int to) {
        for (int block = 0; block < count; block++) {
            long from = at + (long) bytes * block;
            float d = Stored.half(from);
            FloatVector scale = FloatVector.broadcast(FLOATS, d);
            FloatVector minimum = FloatVector.broadcast(FLOATS, minimum(from, d));
            for (int i = 0; i < 16; i += COUNT) {
                IntVector pairs = Stored.unsigned(from + codes + i);
                Stored.floats(pairs.and(15)).fma(scale, minimum).intoArray(into, to + 32 * block + i);
                Stored.floats(pairs.lanewise(VectorOperators.LSHR, 4))
                        .fma(scale, minimum)
                        .intoArray(into, to + 32 * block + 16 + i);
            }
        }
    }

    private void five(long at, int count, float[] into, int to) {
        for (int block = 0; block < count; block++) {
            long from = at + (long) bytes * block;
            float d = Stored.half(from);
            FloatVector scale = FloatVector.broadcast(FLOATS, d);
            FloatVector minimum = FloatVector.broadcast(FLOATS, minimum(from, d));
            IntVector high = IntVector.broadcast(Stored.INTS, Stored.integer(from + codes - 4));
            for (int i = 0; i < 16; i += COUNT) {
                IntVector pairs = Stored.unsigned(from + codes + i);
                IntVector low = high.lanewise(VectorOperators.ROL, TO_BIT_4[i / COUNT]);
                IntVector upper = high.lanewise(VectorOperators.ROL, TO_BIT_4[(16 + i) / COUNT]);
                Stored.floats(pairs.and(15).or(low.and(16))).fma(scale, minimum).intoArray(into, to + 32 * block + i);
                Stored.floats(pairs.lanewise(VectorOperators.LSHR, 4).or(upper.and(16)))
                        .fma(scale, minimum)
                        .intoArray(into, to + 32 * block + 16 + i);
            }
        }
    }
}
