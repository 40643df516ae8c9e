package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import nibble.engine.backend.Workers;

/**
 * Computes {@code c[m, n] = Σ_k a[m, k] b[n, k]} for very few rows m: decoding. Each row of b is unpacked once, as it
 * is, and multiplied in dot form; putting rows side by side would cost more than it saves.
 */
public final class Gemv {
    /** Rows of a for which this is the better form. */
    public static final int MOST_ROWS = 3;

    /** Weights of a task: enough that handing it out costs little. */
    private static final int TASK_WEIGHTS = 1 << 15;

    private Gemv() {}

    public static void multiply(Workers workers, float[] a, int m, int k, RowSource b, int n, float[] c) {
        int rows = Math.max(1, TASK_WEIGHTS / Math.max(1, k));
        workers.forEach((n + rows - 1) / rows, task -> {
            float[] row = new float[k];
            for (int j = task * rows; j < Math.min(n, (task + 1) * rows); j++) {
                b.read(j, 0, k, row, 0);
                for (int i = 0; i < m; i++) {
                    c[i * n + j] = dot(a, i * k, row, 0, k);
                }
            }
        });
    }

    /** Computes {@code Σ_i a[aOffset + i] b[bOffset + i]} by four vectors of sums. */
    public static float dot(float[] a, int aOffset, float[] b, int bOffset, int n) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        int i = 0;
        for (; i <= n - 4 * COUNT; i += 4 * COUNT) {
            s0 = FloatVector.fromArray(FLOATS, a, aOffset + i).fma(FloatVector.fromArray(FLOATS, b, bOffset + i), s0);
            s1 = FloatVector.fromArray(FLOATS, a, aOffset + i + COUNT)
                    .fma(FloatVector.fromArray(FLOATS, b, bOffset + i + COUNT), s1);
            s2 = FloatVector.fromArray(FLOATS, a, aOffset + i + 2 * COUNT)
                    .fma(FloatVector.fromArray(FLOATS, b, bOffset + i + 2 * COUNT), s2);
            s3 = FloatVector.fromArray(FLOATS, a, aOffset + i + 3 * COUNT)
                    .fma(FloatVector.fromArray(FLOATS, b, bOffset + i + 3 * COUNT), s3);
        }
        for (; i <= n - COUNT; i += COUNT) {
            s0 = FloatVector.fromArray(FLOATS, a, aOffset + i).fma(FloatVector.fromArray(FLOATS, b, bOffset + i), s0);
        }
        float sum = Lanes.sum(s0.add(s1).add(s2.add(s3)));
        for (; i < n; i++) {
            sum = Math.fma(a[aOffset + i], b[bOffset + i], sum);
        }
        return sum;
    }
}
