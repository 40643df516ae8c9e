package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Computes {@code out = gelu(gate) * up}, element by element, with GELU's tanh form: {@code x/2 (1 + tanh z) = x / (1 +
 * exp(-2z))}, {@code z = √(2/π) (x + 0.044715 x³)}.
 */
public final class Geglu {
    /** Beyond it exp(-2z) would overflow; gate / exp(88) is already nothing. */
    private static final float MOST_EXPONENT = 88;

    private static final float LINEAR = (float) (2 * Math.sqrt(2 / Math.PI));
    private static final float CUBIC = (float) (2 * Math.sqrt(2 / Math.PI) * 0.044715);

    private Geglu() {}

    public static void run(float[] gate, float[] up, float[] out, int from, int to) {
        int i = from;
        for (; i <= to - COUNT; i += COUNT) {
            FloatVector g = FloatVector.fromArray(FLOATS, gate, i);
            FloatVector x = g.mul(g).mul(CUBIC).add(LINEAR).mul(g).neg();
            x = x.blend(MOST_EXPONENT, x.compare(VectorOperators.GT, MOST_EXPONENT));
            g.div(Lanes.exp(x).add(1f))
                    .mul(FloatVector.fromArray(FLOATS, up, i))
                    .intoArray(out, i);
        }
        for (; i < to; i++) {
            double g = gate[i];
            out[i] = (float) (g / (1 + Math.exp(-g * (LINEAR + CUBIC * g * g))) * up[i]);
        }
    }
}
