package nibble.engine.host.vector;

/** Multiplies rows with panels of {@value #COLUMNS} columns, and does the softmax of attention between two products. */
public interface PanelKernel {
    /** Columns of a panel. */
    int COLUMNS = 32;

    /** Scores come in whole runs of so many. */
    int SCORES = 16;

    /** Rows of a panel that {@link #multiply} takes best: a panel as deep leaves the first-level cache some room. */
    int DEPTH = 256;

    /** Names rows of numbers from an offset on, each {@code stride} behind the one before. */
    record Rows(float[] values, int offset, int stride) {}

    /**
     * Computes {@code c[r, j] (+)= Σ_i a[r, i] b[i, j]} for 32 columns j; each sum runs over i in order by fused
     * multiply-add.
     *
     * @param rows of a and c
     * @param at where the panel's row 0 begins in {@code b}; element i, j is {@code 32 i + j} behind it
     * @param depth rows of the panel that take part
     * @param accumulate whether to add to c or to overwrite it
     */
    void multiply(int rows, Rows a, float[] b, int at, int depth, Rows c, boolean accumulate);

    /**
     * Makes {@code n} scores of a query exponentials of their distance to the largest so far.
     *
     * @param n a multiple of {@link #SCORES}
     * @param state of query r the largest score so far at 2 r, and at 2 r + 1 the sum of all exponentials. Where the
     *     largest grows, that sum and the query's sums of values shrink
     * @param sums a query's {@code width} sums of values from {@code sumsAt} on; the width is a multiple of 16
     */
    void soften(float[] scores, int at, int n, float[] state, int r, float[] sums, int sumsAt, int width);

    /** Returns the Vector API's. */
    static PanelKernel vectors() {
        return MicroKernel.KERNEL;
    }
}
