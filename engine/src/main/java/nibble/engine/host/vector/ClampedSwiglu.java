package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import nibble.checkpoint.model.layer.Activation;

/** Computes {@link Activation#CLAMPED_SWIGLU}, element by element. */
public final class ClampedSwiglu {
    /** Beyond it exp would overflow; gate / exp(88) is already nothing. */
    private static final float MOST_EXPONENT = 88;

    private static final float LIMIT = (float) Activation.CLAMPED_LIMIT;
    private static final float FACTOR = (float) Activation.CLAMPED_FACTOR;

    private ClampedSwiglu() {}

    public static void run(float[] gate, float[] up, float[] out, int from, int to) {
        int i = from;
        for (; i <= to - COUNT; i += COUNT) {
            FloatVector g = FloatVector.fromArray(FLOATS, gate, i);
            g = g.blend(LIMIT, g.compare(VectorOperators.GT, LIMIT));
            FloatVector u = FloatVector.fromArray(FLOATS, up, i);
            u = u.blend(LIMIT, u.compare(VectorOperators.GT, LIMIT));
            u = u.blend(-LIMIT, u.compare(VectorOperators.LT, -LIMIT));
            FloatVector x = g.mul(-FACTOR);
            x = x.blend(MOST_EXPONENT, x.compare(VectorOperators.GT, MOST_EXPONENT));
            g.div(Lanes.exp(x).add(1f)).mul(u.add(1f)).intoArray(out, i);
        }
        for (; i < to; i++) {
            double g = Math.min(gate[i], LIMIT);
            float u = Math.clamp(up[i], -LIMIT, LIMIT);
            out[i] = (float) (g / (1 + Math.exp(-Activation.CLAMPED_FACTOR * g)) * (u + 1));
        }
    }
}
