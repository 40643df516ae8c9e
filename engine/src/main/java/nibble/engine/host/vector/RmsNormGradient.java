package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/**
 * Computes the gradient of {@link RmsNorm} for one row: {@code dx = r (g − x r² ⟨g, x⟩ / n)} with {@code g = dy ·
 * weight} and {@code r = 1 / √(mean x² + ε)}.
 */
public final class RmsNormGradient {
    private RmsNormGradient() {}

    /**
     * Computes one row.
     *
     * @param product scratch of n floats
     * @param dx may be dy where it is not added to
     * @param accumulate whether dx is added to
     * @param dWeight [n] from {@code dWeightAt} on, added to
     */
    public static void row(
            float[] x,
            int at,
            float[] weight,
            double epsilon,
            float[] dy,
            float[] dx,
            boolean accumulate,
            float[] product,
            float[] dWeight,
            int dWeightAt) {
        int n = weight.length;
        float squares = Gemv.dot(x, at, x, at, n);
        float r = (float) (1 / Math.sqrt(squares / (double) n + epsilon));
        for (int i = 0; i < n; i++) {
            product[i] = dy[at + i] * weight[i];
        }
        float covered = (float) (Gemv.dot(product, 0, x, at, n) * (double) r * r * r / n);
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector in = FloatVector.fromArray(FLOATS, x, at + i);
            FloatVector gain = FloatVector.fromArray(FLOATS, dWeight, dWeightAt + i);
            FloatVector.fromArray(FLOATS, dy, at + i).mul(r).fma(in, gain).intoArray(dWeight, dWeightAt + i);
            FloatVector gradient =
                    FloatVector.fromArray(FLOATS, product, i).mul(r).sub(in.mul(covered));
            FloatVector before = accumulate ? FloatVector.fromArray(FLOATS, dx, at + i) : FloatVector.zero(FLOATS);
            gradient.add(before).intoArray(dx, at + i);
        }
        for (; i < n; i++) {
            dWeight[dWeightAt + i] += dy[at + i] * r * x[at + i];
            dx[at + i] = product[i] * r - x[at + i] * covered + (accumulate ? dx[at + i] : 0);
        }
    }
}
