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

/**
 * Loads of a file's bytes by their address, as numbers.
 *
 * <p>A segment checks each access: that its file is still mapped, and both its bounds. In the loop of a kernel these
 * checks cost as much as the arithmetic (Q4_0 on machine A: 5.8 against 11.8 billion weights a second and core). So
 * {@link #require} makes them once for all that a piece of work reads, and the loads here make none: whoever calls
 * them has called that, and keeps the segment reachable until it is done.
 */
final class Stored {
    /** All memory; an offset in it is an address. */
    private static final MemorySegment MEMORY = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

    static final ByteOrder LITTLE = ByteOrder.LITTLE_ENDIAN;
    static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LITTLE);
    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE);
    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(LITTLE);
    static final VectorSpecies<Integer> INTS = VectorSpecies.of(int.class, FLOATS.vectorShape());

    /** As many bytes as a vector has floats. */
    static final VectorSpecies<Byte> BYTES = COUNT == 16 ? ByteVector.SPECIES_128 : ByteVector.SPECIES_64;

    private Stored() {}

    /**
     * The address of {@code data}, when all of it can be read.
     *
     * @throws IllegalArgumentException if there are fewer bytes than expected, or they have no address
     * @throws IllegalStateException if their file is mapped no more
     */
    static long require(MemorySegment data, long bytes) {
        if (!data.isNative() || data.byteSize() < bytes) {
            throw new IllegalArgumentException("weights of " + data.byteSize() + " bytes"
                    + (data.isNative() ? "" : " on the heap") + ", " + bytes + " bytes of a mapped file expected");
        }
        if (bytes > 0) {
            data.get(ValueLayout.JAVA_BYTE, bytes - 1);
        }
        return data.address();
    }

    /** {@value} of a high nibble left where it stands, so that x is scaled by it instead of a shift for each weight. */
    static final float HIGH_NIBBLE = 0x1p-4f;

    static float half(long at) {
        return Float.float16ToFloat(MEMORY.get(SHORT, at));
    }

    /** Bytes as numbers 0 to 255. */
    static IntVector unsigned(long at) {
        return (IntVector) ByteVector.fromMemorySegment(BYTES, MEMORY, at, LITTLE)
                .convertShape(VectorOperators.ZERO_EXTEND_B2I, INTS, 0);
    }

    /** Bytes as floats -128 to 127. */
    static FloatVector signed(long at) {
        return (FloatVector)
                ByteVector.fromMemorySegment(BYTES, MEMORY, at, LITTLE).convertShape(VectorOperators.B2F, FLOATS, 0);
    }

    static int integer(long at) {
        return MEMORY.get(INT, at);
    }

    static byte octet(long at) {
        return MEMORY.get(ValueLayout.JAVA_BYTE, at);
    }

    /** As many 32-bit words as a vector has floats. */
    static IntVector words(long at) {
        return IntVector.fromMemorySegment(INTS, MEMORY, at, LITTLE);
    }

    /** fp16 numbers as floats; alone in its method, as a loop that C2 turns into VCVTPH2PS. */
    static void halves(long at, int count, float[] into, int offset) {
        for (int i = 0; i < count; i++) {
            into[offset + i] = Float.float16ToFloat(MEMORY.get(SHORT, at + 2L * i));
        }
    }

    /** bf16 numbers as floats. */
    static void brains(long at, int count, float[] into, int offset) {
        for (int i = 0; i < count; i++) {
            into[offset + i] = Float.intBitsToFloat(MEMORY.get(SHORT, at + 2L * i) << 16);
        }
    }

    /** fp32 numbers. */
    static void singles(long at, int count, float[] into, int offset) {
        MemorySegment.copy(MEMORY, FLOAT, at, into, offset, count);
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
