package nibble.engine.host.fit;

/** What tests compare with, in double precision. */
final class Samples {
    private Samples() {}

    /** The mean of {@code x xᵀ} over the rows of x [tokens, n]. */
    static double[][] second(float[] x, int n) {
        double[][] c = new double[n][n];
        for (int t = 0; t < x.length / n; t++) {
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    c[i][j] += (double) x[t * n + i] * x[t * n + j] * n / x.length;
                }
            }
        }
        return c;
    }
}
