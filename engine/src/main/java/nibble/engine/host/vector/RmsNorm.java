package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/** Computes {@code out = x / sqrt(mean(x²) + epsilon) * weight} of one row. */
public final class RmsNorm {
    private RmsNorm() {}

    public static void row(float[] x, int offset, int n, float[] weight, double epsilon, float[] out) {
        float squares = Gemv.dot(x, offset, x, offset, n);
        float scale = (float) (1 / Math.sqrt(squares / (double) n + epsilon));
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector.fromArray(FLOATS, x, offset + i)
                    .mul(scale)
                    .mul(FloatVector.fromArray(FLOATS, weight, i))
                    .intoArray(out, offset + i);
        }
        for (; i < n; i++) {
            out[offset + i] = x[offset + i] * scale * weight[i];
        }
    }
}
