package nibble.engine.host.vector;

/** Computes {@code out = x - mean(x)} of one row. */
public final class Centering {
    private Centering() {}

    public static void row(float[] x, int offset, int n, float[] out) {
        double sum = 0;
        for (int i = offset; i < offset + n; i++) {
            sum += x[i];
        }
        float mean = (float) (sum / n);
        for (int i = offset; i < offset + n; i++) {
            out[i] = x[i] - mean;
        }
    }
}
