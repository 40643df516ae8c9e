package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** The parts of a softmax over a run of floats whose length is a multiple of the vector's. */
final class Softmax {
    private Softmax() {}

    /** The largest value; NaNs are passed over, they come back through {@link #exponentials}. */
    static float max(float[] x, int offset, int n) {
        FloatVector m = FloatVector.broadcast(FLOATS, Float.NEGATIVE_INFINITY);
        for (int i = 0; i < n; i += COUNT) {
            m = Lanes.larger(m, FloatVector.fromArray(FLOATS, x, offset + i));
        }
        return m.reduceLanes(VectorOperators.MAX);
    }

    /** {@code x = exp(x - max)} in place; returns the sum. */
    static float exponentials(float[] x, int offset, int n, float max) {
        FloatVector sum = FloatVector.zero(FLOATS);
        for (int i = 0; i < n; i += COUNT) {
            FloatVector e =
                    Lanes.exp(FloatVector.fromArray(FLOATS, x, offset + i).sub(max));
            e.intoArray(x, offset + i);
            sum = sum.add(e);
        }
        return Lanes.sum(sum);
    }

    /** {@code Σ exp(x - max)}, x unchanged. */
    static float sumOfExponentials(float[] x, int offset, int n, float max) {
        FloatVector sum = FloatVector.zero(FLOATS);
        for (int i = 0; i < n; i += COUNT) {
            sum = sum.add(Lanes.exp(FloatVector.fromArray(FLOATS, x, offset + i).sub(max)));
        }
        return Lanes.sum(sum);
    }
}
