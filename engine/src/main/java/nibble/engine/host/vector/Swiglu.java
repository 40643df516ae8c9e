package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Computes {@code out = gate / (1 + exp(-gate)) * up}, element by element. */
public final class Swiglu {
    /** Beyond it exp(-gate) would overflow; gate / exp(88) is already nothing. */
    private static final float MOST_EXPONENT = 88;

    private Swiglu() {}

    public static void run(float[] gate, float[] up, float[] out, int from, int to) {
        int i = from;
        for (; i <= to - COUNT; i += COUNT) {
            FloatVector g = FloatVector.fromArray(FLOATS, gate, i);
            FloatVector x = g.neg();
            x = x.blend(MOST_EXPONENT, x.compare(VectorOperators.GT, MOST_EXPONENT));
            g.div(Lanes.exp(x).add(1f))
                    .mul(FloatVector.fromArray(FLOATS, up, i))
                    .intoArray(out, i);
        }
        for (; i < to; i++) {
            out[i] = (float) (gate[i] / (1 + Math.exp(-gate[i])) * up[i]);
        }
    }
}
