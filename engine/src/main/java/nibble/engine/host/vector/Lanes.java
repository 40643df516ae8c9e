package nibble.engine.host.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/** Holds the vector width of all kernels, and exp, which the Vector API would leave to a library that may be absent. */
public final class Lanes {
    /** The machine's widest floats; the property {@code nibble.vector.bits} (128, 256, 512) narrows them, for tests. */
    public static final VectorSpecies<Float> FLOATS = species();

    public static final int COUNT = FLOATS.length();

    /** Below this exp is 0 here: it would be denormal or smaller. */
    static final float LEAST_EXPONENT = -87.3f;

    private static final float LOG2_E = 1.442695041f;
    /** ln 2 in two parts, the first with few enough bits that n * LN2_HIGH is exact (Cody and Waite). */
    private static final float LN2_HIGH = 0.693359375f;

    private static final float LN2_LOW = -2.12194440e-4f;
    /** 1.5 * 2^23: adding it rounds to the nearest integer and leaves that in the low bits. */
    private static final float ROUNDER = 12582912f;

    /** Brings the upper half of the lanes to the lower, of half as many lanes each time. */
    private static final VectorShuffle<Float> HALF = shuffle(2);

    private static final VectorShuffle<Float> QUARTER = shuffle(4);
    private static final VectorShuffle<Float> EIGHTH = shuffle(8);
    private static final VectorShuffle<Float> SIXTEENTH = shuffle(16);

    private Lanes() {}

    private static VectorShuffle<Float> shuffle(int parts) {
        int half = Math.max(1, COUNT / parts);
        return VectorShuffle.fromOp(FLOATS, i -> (i + half) % COUNT);
    }

    private static VectorSpecies<Float> species() {
        return switch (System.getProperty("nibble.vector.bits", "")) {
            case "128" -> FloatVector.SPECIES_128;
            case "256" -> FloatVector.SPECIES_256;
            case "512" -> FloatVector.SPECIES_512;
            default -> FloatVector.SPECIES_PREFERRED;
        };
    }

    /** Returns the bits of a vector. */
    public static int bits() {
        return FLOATS.vectorBitSize();
    }

    /**
     * e^x for x up to 88, about 1e-7 relative error; 0 below {@link #LEAST_EXPONENT}, NaN for NaN. exp(x) = 2^n e^r
     * with n = round(x / ln 2), |r| ≤ ln 2 / 2, and a polynomial of degree 6 for e^r (Cephes' expf).
     */
    static FloatVector exp(FloatVector x) {
        FloatVector shifted = x.lanewise(VectorOperators.FMA, LOG2_E, ROUNDER);
        FloatVector n = shifted.sub(ROUNDER);
        FloatVector r = n.lanewise(VectorOperators.FMA, -LN2_HIGH, x);
        r = n.lanewise(VectorOperators.FMA, FloatVector.broadcast(FLOATS, -LN2_LOW), r);
        FloatVector p = FloatVector.broadcast(FLOATS, 1.9875691500e-4f);
        p = p.fma(r, FloatVector.broadcast(FLOATS, 1.3981999507e-3f));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 8.3334519073e-3f));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 4.1665795894e-2f));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 1.6666665459e-1f));
        p = p.fma(r, FloatVector.broadcast(FLOATS, 5.0000001201e-1f));
        p = p.fma(r.mul(r), r).add(1f);
        IntVector power = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
        FloatVector result = p.reinterpretAsInts().add(power).reinterpretAsFloats();
        VectorMask<Float> tiny = x.compare(VectorOperators.LT, LEAST_EXPONENT);
        return result.blend(0f, tiny);
    }

    /**
     * Returns the sum of all lanes, halves added to halves. {@code reduceLanes} may add in any order and does:
     * interpreted and compiled code differ, so that results would depend on when the compiler gets to them.
     */
    public static float sum(FloatVector v) {
        // Lanes beyond the half take part too, which changes nothing in the first one.
        FloatVector sum = v.add(v.rearrange(HALF));
        sum = sum.add(sum.rearrange(QUARTER));
        if (COUNT > 4) {
            sum = sum.add(sum.rearrange(EIGHTH));
        }
        if (COUNT > 8) {
            sum = sum.add(sum.rearrange(SIXTEENTH));
        }
        return sum.lane(0);
    }

    /**
     * The larger of each pair of lanes; a NaN in {@code b} is passed over. Cheaper than max, which orders zeros and
     * NaN.
     */
    static FloatVector larger(FloatVector a, FloatVector b) {
        return a.blend(b, b.compare(VectorOperators.GT, a));
    }
}
