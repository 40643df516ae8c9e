package nibble.convert.blocks;

import static nibble.convert.blocks.Groups.LANES;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Blocks of 32 elements whose codes are a formula of the block's extremes: Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0, with the
 * bytes of ggml's own reference. Lanes hold elements of one block, so results do not depend on the width of vectors.
 */
final class FormulaBlocks {
    private static final int ELEMENTS = 32;
    private static final int L = LANES.length();
    private static final VectorSpecies<Integer> INTS = VectorSpecies.of(int.class, LANES.vectorShape());

    /** As many bytes as a vector has floats; vectors of four have no such. */
    private static final VectorSpecies<Byte> BYTES = L == 16 ? ByteVector.SPECIES_128 : ByteVector.SPECIES_64;

    private final byte[] out;
    private final ByteBuffer buffer;
    private float lowest;
    private float highest;

    FormulaBlocks(byte[] out) {
        this.out = out;
        this.buffer = ByteBuffer.wrap(out).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Encodes a block with codes from 0; {@code half} is the weight 0. The element of largest magnitude is -half. */
    void symmetric(float[] row, int from, int half, int at) {
        findRange(row, from);
        float largest = highest > -lowest ? highest : -lowest > highest ? lowest : firstOf(row, from, highest);
        float d = largest / -half;
        buffer.putShort(at, Float.floatToFloat16(d));
        codes(row, from, 0, d == 0 ? 0 : 1 / d, half + 0.5f, 2 * half - 1, at + 2);
    }

    /** Sets the lowest and the highest element of a block. */
    private void findRange(float[] row, int from) {
        FloatVector high = FloatVector.fromArray(LANES, row, from);
        FloatVector low = high;
        for (int i = L; i < ELEMENTS; i += L) {
            FloatVector v = FloatVector.fromArray(LANES, row, from + i);
            high = high.max(v);
            low = low.min(v);
        }
        highest = high.reduceLanes(VectorOperators.MAX);
        lowest = low.reduceLanes(VectorOperators.MIN);
    }

    /** Returns the first element of a magnitude; 0 where all are. */
    private static float firstOf(float[] row, int from, float magnitude) {
        for (int i = from; magnitude != 0; i++) {
            if (Math.abs(row[i]) == magnitude) {
                return row[i];
            }
        }
        return 0;
    }

    /** Encodes a block with codes 0 to {@code most} from its least element to its largest. */
    void withMinimum(float[] row, int from, int most, int at) {
        findRange(row, from);
        float least = lowest;
        float d = (highest - least) / most;
        buffer.putShort(at, Float.floatToFloat16(d));
        buffer.putShort(at + 2, Float.floatToFloat16(least));
        codes(row, from, least, d == 0 ? 0 : 1 / d, 0.5f, most, at + 4);
    }

    /** Stores {@code (x - minimum) inverse + offset}, cut to a whole number of at most 4 or 5 bits. */
    private void codes(float[] row, int from, float minimum, float inverse, float offset, int most, int at) {
        int nibbles = most > 15 ? at + 4 : at;
        int fifths = 0;
        for (int i = 0; i < ELEMENTS / 2; i += L) {
            IntVector first = code(row, from + i, minimum, inverse, offset, most);
            IntVector second = code(row, from + ELEMENTS / 2 + i, minimum, inverse, offset, most);
            if (most > 15) {
                fifths |= (int) fifth(first) << i | (int) fifth(second) << ELEMENTS / 2 + i;
            }
            store(first.and(15).or(second.and(15).lanewise(VectorOperators.LSHL, 4)), nibbles + i);
        }
        if (most > 15) {
            buffer.putInt(at, fifths);
        }
    }

    private static IntVector code(float[] row, int from, float minimum, float inverse, float offset, int most) {
        FloatVector x = FloatVector.fromArray(LANES, row, from);
        // A minimum of 0 would make another zero of -0 only.
        FloatVector scaled = x.sub(minimum).mul(inverse).add(offset);
        return ((IntVector) scaled.convertShape(VectorOperators.F2I, INTS, 0)).min(most);
    }

    private static long fifth(IntVector codes) {
        return codes.compare(VectorOperators.GT, 15).toLong();
    }

    /** Encodes a block of signed bytes; halves are rounded away from zero, as C's roundf does. */
    void bytes(float[] row, int from, int at) {
        FloatVector high = FloatVector.fromArray(LANES, row, from).abs();
        for (int i = L; i < ELEMENTS; i += L) {
            high = high.max(FloatVector.fromArray(LANES, row, from + i).abs());
        }
        float d = high.reduceLanes(VectorOperators.MAX) / 127;
        float inverse = d == 0 ? 0 : 1 / d;
        buffer.putShort(at, Float.floatToFloat16(d));
        for (int i = 0; i < ELEMENTS; i += L) {
            FloatVector x = FloatVector.fromArray(LANES, row, from + i).mul(inverse);
            FloatVector size = x.abs();
            IntVector whole = (IntVector) size.convertShape(VectorOperators.F2I, INTS, 0);
            FloatVector rest = size.sub((FloatVector) whole.convertShape(VectorOperators.I2F, LANES, 0));
            VectorMask<Integer> up = rest.compare(VectorOperators.GE, 0.5f).cast(INTS);
            VectorMask<Integer> negative = x.compare(VectorOperators.LT, 0).cast(INTS);
            IntVector rounded = whole.add(1, up);
            store(rounded.lanewise(VectorOperators.NEG, negative), at + 2 + i);
        }
    }

    private void store(IntVector values, int at) {
        if (L == 4) {
            for (int i = 0; i < L; i++) {
                out[at + i] = (byte) values.lane(i);
            }
        } else {
            ((ByteVector) values.convertShape(VectorOperators.I2B, BYTES, 0)).intoArray(out, at);
        }
    }
}
