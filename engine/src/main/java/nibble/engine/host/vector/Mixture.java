package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/** Computes {@code into += Σ_j weights[j] products[places[j]]}, a row of it at a time. */
public final class Mixture {
    private Mixture() {}

    /**
     * Adds to one row.
     *
     * @param products rows of {@code n} numbers
     * @param first of the {@code k} places and weights
     * @param at where the row begins in {@code into}
     */
    public static void row(
            float[] products, int[] places, float[] weights, int first, int k, int n, float[] into, int at) {
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector sum = FloatVector.zero(FLOATS);
            for (int j = first; j < first + k; j++) {
                sum = FloatVector.fromArray(FLOATS, products, places[j] * n + i).fma(splat(weights[j]), sum);
            }
            sum.add(FloatVector.fromArray(FLOATS, into, at + i)).intoArray(into, at + i);
        }
        for (; i < n; i++) {
            float sum = 0;
            for (int j = first; j < first + k; j++) {
                sum = Math.fma(weights[j], products[places[j] * n + i], sum);
            }
            into[at + i] += sum;
        }
    }

    private static FloatVector splat(float value) {
        return FloatVector.broadcast(FLOATS, value);
    }
}
