package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Computes the gradient of {@link Swiglu} and {@link Geglu}, element by element. Both are {@code x s(x) up} with {@code
 * s(x) = 1 / (1 + exp(−(a x + b x³)))}; a = 1 and b = 0 for SiLU.
 */
public final class GluGradient {
    private static final float MOST_EXPONENT = 88;

    private GluGradient() {}

    /**
     * Computes some elements.
     *
     * @param linear a
     * @param cubic b
     * @param dGate may be dOut
     */
    public static void run(
            float linear,
            float cubic,
            float[] gate,
            float[] up,
            float[] dOut,
            float[] dGate,
            float[] dUp,
            int from,
            int to) {
        int i = from;
        for (; i <= to - COUNT; i += COUNT) {
            FloatVector x = FloatVector.fromArray(FLOATS, gate, i);
            FloatVector square = x.mul(x);
            FloatVector z = square.mul(cubic).add(linear).mul(x).neg();
            z = z.blend(MOST_EXPONENT, z.compare(VectorOperators.GT, MOST_EXPONENT));
            FloatVector exp = Lanes.exp(z);
            FloatVector share = FloatVector.broadcast(FLOATS, 1f).div(exp.add(1f));
            // 1 − s, without the cancellation where s is near 1.
            FloatVector rest = exp.mul(share);
            FloatVector slope =
                    square.mul(3 * cubic).add(linear).mul(x).mul(rest).add(1f).mul(share);
            FloatVector gradient = FloatVector.fromArray(FLOATS, dOut, i);
            FloatVector other = FloatVector.fromArray(FLOATS, up, i);
            gradient.mul(x).mul(share).intoArray(dUp, i);
            gradient.mul(other).mul(slope).intoArray(dGate, i);
        }
        for (; i < to; i++) {
            double x = gate[i];
            double exp = Math.exp(Math.min(MOST_EXPONENT, -x * (linear + cubic * x * x)));
            double share = 1 / (1 + exp);
            double slope = share * (1 + x * (linear + 3 * cubic * x * x) * exp * share);
            float gradient = dOut[i];
            dUp[i] = (float) (gradient * x * share);
            dGate[i] = (float) (gradient * up[i] * slope);
        }
    }
}
