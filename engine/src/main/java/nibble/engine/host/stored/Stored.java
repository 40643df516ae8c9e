package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Loads of a file's bytes, and of a block's numbers. */
final class Stored {
    static final ByteOrder LITTLE = ByteOrder.LITTLE_ENDIAN;
    static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LITTLE);
    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(LITTLE);
    static final VectorSpecies<Integer> INTS = VectorSpecies.of(int.class, FLOATS.vectorShape());

    /** As many bytes as a vector has floats. */
    static final VectorSpecies<Byte> BYTES = COUNT == 16 ? ByteVector.SPECIES_128 : ByteVector.SPECIES_64;

    private Stored() {}

    /** {@value} of a high nibble left where it stands, so that x is scaled by it instead of a shift for each weight. */
    static final float HIGH_NIBBLE = 0x1p-4f;

    static float half(MemorySegment data, long at) {
        return Float.float16ToFloat(data.get(SHORT, at));
    }

    /** Bytes as numbers 0 to 255. */
    static IntVector unsigned(MemorySegment data, long at) {
        return (IntVector) ByteVector.fromMemorySegment(BYTES, data, at, LITTLE)
                .convertShape(VectorOperators.ZERO_EXTEND_B2I, INTS, 0);
    }

    /** Bytes as floats -128 to 127. */
    static FloatVector signed(MemorySegment data, long at) {
        return (FloatVector) ByteVector.fromMemorySegment(BYTES, data, at, LITTLE)
                .convertShape(VectorOperators.B2F, FLOATS, 0);
    }

    static FloatVector floats(IntVector ints) {
        return (FloatVector) ints.convertShape(VectorOperators.I2F, FLOATS, 0);
    }

    /** x, and behind it room for {@code more}. */
    static float[] copy(float[] x, int offset, int columns, int more) {
        float[] prepared = new float[columns + more];
        System.arraycopy(x, offset, prepared, 0, columns);
        return prepared;
    }

    static float sum(float[] x, int from, int count) {
        float sum = 0;
        for (int i = from; i < from + count; i++) {
            sum += x[i];
        }
        return sum;
    }
}
