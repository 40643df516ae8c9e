package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import nibble.engine.backend.Workers;

/**
 * Computes {@code Σ_t KL(softmax(f[t] headᵀ) ‖ softmax(x[t] headᵀ))} and its gradient. Logits of some rows are made at
 * a time.
 */
public final class Divergence {
    /** Logits of each of the two models at a time: 64 MB. */
    private static final int LOGITS = 1 << 24;
    /** Rows at a time at least: fewer would not pay for reading the head. */
    private static final int FEWEST_ROWS = 64;

    private Divergence() {}

    /**
     * Computes products of many rows with a weight, {@code b}, of n rows: the one of a linear layer, and its
     * gradient's.
     */
    public interface Products {
        /** Computes {@code c[m, n] = Σ_k a[m, k] b[n, k]}. */
        void forward(float[] a, int m, int k, RowSource b, int n, float[] c);

        /** Computes {@code c[m, k] = Σ_n a[m, n] b[n, k]}. */
        void backward(float[] a, int m, int n, RowSource b, int k, float[] c);
    }

    /**
     * Computes the divergence and its gradient.
     *
     * @param products of the backend
     * @param original f, [rows, k]
     * @param x [rows, k]
     * @param head [vocabulary, k]
     * @param cap of logits; 0 for none
     * @param dx [rows, k], becomes factor times the gradient; empty where it is not asked for
     */
    public static double run(
            Workers workers,
            Products products,
            float[] original,
            float[] x,
            int k,
            RowSource head,
            int vocabulary,
            float factor,
            float cap,
            float[] dx) {
        int rows = x.length / k;
        int most = Math.max(FEWEST_ROWS, Math.min(rows, LOGITS / vocabulary));
        double divergence = 0;
        float[] first = new float[Math.multiplyExact(Math.min(rows, most), vocabulary)];
        float[] second = new float[first.length];
        float[] some = new float[Math.min(rows, most) * k];
        for (int row = 0; row < rows; row += most) {
            int count = Math.min(most, rows - row);
            System.arraycopy(original, row * k, some, 0, count * k);
            products.forward(some, count, k, head, vocabulary, first);
            System.arraycopy(x, row * k, some, 0, count * k);
            products.forward(some, count, k, head, vocabulary, second);
            double[] sums = new double[count];
            workers.forEach(count, r -> sums[r] = row(first, second, r * vocabulary, vocabulary, factor, cap));
            for (double sum : sums) {
                divergence += sum;
            }
            if (dx.length > 0) {
                products.backward(second, count, vocabulary, head, k, some);
                System.arraycopy(some, 0, dx, row * k, count * k);
            }
        }
        return divergence;
    }

    /** The divergence of a row of logits; those of {@code second} become their gradient times the factor. */
    private static double row(float[] first, float[] second, int at, int n, float factor, float cap) {
        if (cap == 0) {
            return row(first, second, at, n, factor);
        }
        Cap.run(first, at, at + n, cap);
        Cap.run(second, at, at + n, cap);
        float[] slopes = new float[n];
        for (int i = 0; i < n; i++) {
            float share = second[at + i] / cap;
            slopes[i] = 1 - share * share;
        }
        double divergence = row(first, second, at, n, factor);
        for (int i = 0; i < n; i++) {
            second[at + i] *= slopes[i];
        }
        return divergence;
    }

    private static double row(float[] first, float[] second, int at, int n, float factor) {
        double firstLog = logSum(first, at, n);
        double secondLog = logSum(second, at, n);
        float firstShift = (float) firstLog;
        float secondShift = (float) secondLog;
        FloatVector gaps = FloatVector.zero(FLOATS);
        int i = at;
        for (; i <= at + n - COUNT; i += COUNT) {
            FloatVector f = FloatVector.fromArray(FLOATS, first, i);
            FloatVector q = FloatVector.fromArray(FLOATS, second, i);
            FloatVector p = Lanes.exp(f.sub(firstShift));
            gaps = p.fma(f.sub(q), gaps);
            Lanes.exp(q.sub(secondShift)).sub(p).mul(factor).intoArray(second, i);
        }
        double gap = Lanes.sum(gaps);
        for (; i < at + n; i++) {
            double p = Math.exp(first[i] - firstLog);
            gap += p * ((double) first[i] - second[i]);
            second[i] = (float) (factor * (Math.exp(second[i] - secondLog) - p));
        }
        return gap - (firstLog - secondLog);
    }

    /** {@code log Σ exp}. */
    private static double logSum(float[] logits, int at, int n) {
        int whole = n / COUNT * COUNT;
        float max = Softmax.max(logits, at, whole);
        for (int i = at + whole; i < at + n; i++) {
            max = Math.max(max, logits[i]);
        }
        double sum = Softmax.sumOfExponentials(logits, at, whole, max);
        for (int i = at + whole; i < at + n; i++) {
            sum += Math.exp(logits[i] - max);
        }
        return max + Math.log(sum);
    }
}
