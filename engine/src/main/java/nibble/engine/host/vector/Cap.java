package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Computes {@code x = c tanh(x / c)}, element by element. */
public final class Cap {
    /** Below it tanh is a polynomial, above it {@code 1 - 2 / (exp(2y) + 1)} (Cephes' tanhf). */
    private static final float SMALL = 0.625f;

    /** tanh is 1 from here on, and exp(2y) would overflow far beyond. */
    private static final float MOST = 20;

    private Cap() {}

    /** Applies the cap c > 0 to a run of values. */
    public static void run(float[] x, int from, int to, float c) {
        int i = from;
        for (; i <= to - COUNT; i += COUNT) {
            tanh(FloatVector.fromArray(FLOATS, x, i).div(c)).mul(c).intoArray(x, i);
        }
        for (; i < to; i++) {
            x[i] = (float) (c * Math.tanh(x[i] / c));
        }
    }

    private static FloatVector tanh(FloatVector y) {
        FloatVector z = y.mul(y);
        FloatVector p = FloatVector.broadcast(FLOATS, -5.70498872745e-3f);
        p = p.fma(z, FloatVector.broadcast(FLOATS, 2.06390887954e-2f));
        p = p.fma(z, FloatVector.broadcast(FLOATS, -5.37397155531e-2f));
        p = p.fma(z, FloatVector.broadcast(FLOATS, 1.33314422036e-1f));
        p = p.fma(z, FloatVector.broadcast(FLOATS, -3.33332819422e-1f));
        p = p.mul(z).fma(y, y);
        FloatVector size = y.abs();
        FloatVector bounded = size.blend(MOST, size.compare(VectorOperators.GT, MOST));
        FloatVector large = FloatVector.broadcast(FLOATS, 2f)
                .div(Lanes.exp(bounded.add(bounded)).add(1f))
                .neg()
                .add(1f);
        FloatVector signed = large.blend(large.neg(), y.compare(VectorOperators.LT, 0f));
        return p.blend(signed, size.compare(VectorOperators.GT, SMALL));
    }
}
