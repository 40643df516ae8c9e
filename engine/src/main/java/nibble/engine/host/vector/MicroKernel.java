package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/**
 * The product of some rows with one panel of 32 columns.
 *
 * <pre>
 *            b [k][32]  panel, k-major: row i holds 32 neighbouring columns
 *            ┌────────┐
 * a [rows,k] │        │      c[r, j] (+)= Σ_i a[r, i] b[i, j]      r in rows, j in 0..32
 * ┌───────┐  └────────┘
 * └───────┘  c [rows, 32]
 * </pre>
 *
 * An outer product: 8 rows x 2 vectors of sums stay in registers, each step of i loads two vectors and eight scalars
 * for sixteen multiply-adds, and there is no sum across lanes. AVX2 has sixteen registers in all, which hold 6 rows x 2
 * vectors ({@link SixRows}). Every sum runs over i in order by fused multiply-add, however rows are grouped. Offsets
 * are computed from the loop variable: carried ones keep C2 from dropping the bounds checks.
 */
final class MicroKernel {
    /** Columns of a panel. */
    static final int PANEL = PanelKernel.COLUMNS;
    /** Rows of a panel kept at a time: 256 x 32 floats are 32 kB, which leaves L1 some room for the rows of a. */
    static final int DEPTH = PanelKernel.DEPTH;

    static final PanelKernel KERNEL = new PanelKernel() {
        @Override
        public void multiply(int rows, Rows a, float[] b, int at, int depth, Rows c, boolean accumulate) {
            MicroKernel.multiply(
                    rows,
                    a.values(),
                    a.offset(),
                    a.stride(),
                    b,
                    at,
                    depth,
                    c.values(),
                    c.offset(),
                    c.stride(),
                    accumulate);
        }

        @Override
        public void soften(float[] scores, int at, int n, float[] state, int r, float[] sums, int sumsAt, int width) {
            float before = state[2 * r];
            float largest = Math.max(before, Softmax.max(scores, at, n));
            if (largest > before) {
                float shrink = (float) Math.exp(before - largest);
                state[2 * r] = largest;
                state[2 * r + 1] *= shrink;
                for (int i = 0; i < width; i++) {
                    sums[sumsAt + i] *= shrink;
                }
            }
            state[2 * r + 1] += Softmax.exponentials(scores, at, n, largest);
        }
    };

    /** Rows that are multiplied together. */
    private static final int ROWS = COUNT == 8 ? SixRows.ROWS : 8;

    /** Rows that are multiplied one by one where no more are left. */
    private static final int FEW = COUNT == 8 ? 1 : 3;

    private MicroKernel() {}

    /** Returns the least number of rows that leaves none over and is no less than this one. */
    static int roundUp(int rows) {
        return (rows + ROWS - 1) / ROWS * ROWS;
    }

    /** @param accumulate whether to add to c or to overwrite it */
    static void multiply(
            int rows,
            float[] a,
            int aOffset,
            int aStride,
            float[] b,
            int bOffset,
            int k,
            float[] c,
            int cOffset,
            int cStride,
            boolean accumulate) {
        for (int j = 0; j < PANEL; j += 2 * COUNT) {
            int r = 0;
            for (; r + FEW < rows; r += ROWS) {
                int last = Math.min(ROWS, rows - r) - 1;
                int from = aOffset + r * aStride;
                int to = cOffset + r * cStride + j;
                if (ROWS == SixRows.ROWS) {
                    SixRows.multiply(last, k, a, from, aStride, b, bOffset + j, c, to, cStride, accumulate);
                } else {
                    eight(last, a, from, aStride, b, bOffset + j, k, c, to, cStride, accumulate);
                }
            }
            for (; r < rows; r++) {
                one(a, aOffset + r * aStride, b, bOffset + j, k, c, cOffset + r * cStride + j, accumulate);
            }
        }
    }

    /** Fewer than eight rows repeat the last one: its sums are made and written more than once, always the same. */
    private static void eight(
            int last,
            float[] a,
            int a0,
            int aStride,
            float[] b,
            int b0,
            int k,
            float[] c,
            int c0,
            int cStride,
            boolean accumulate) {
        int a1 = a0 + Math.min(1, last) * aStride;
        int a2 = a0 + Math.min(2, last) * aStride;
        int a3 = a0 + Math.min(3, last) * aStride;
        int a4 = a0 + Math.min(4, last) * aStride;
        int a5 = a0 + Math.min(5, last) * aStride;
        int a6 = a0 + Math.min(6, last) * aStride;
        int a7 = a0 + Math.min(7, last) * aStride;
        int c1 = c0 + Math.min(1, last) * cStride;
        int c2 = c0 + Math.min(2, last) * cStride;
        int c3 = c0 + Math.min(3, last) * cStride;
        int c4 = c0 + Math.min(4, last) * cStride;
        int c5 = c0 + Math.min(5, last) * cStride;
        int c6 = c0 + Math.min(6, last) * cStride;
        int c7 = c0 + Math.min(7, last) * cStride;
        FloatVector s00 = FloatVector.zero(FLOATS), s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00, s30 = s00;
        FloatVector s31 = s00, s40 = s00, s41 = s00, s50 = s00, s51 = s00, s60 = s00, s61 = s00, s70 = s00, s71 = s00;
        for (int i = 0; i < k; i++) {
            FloatVector left = FloatVector.fromArray(FLOATS, b, b0 + i * PANEL);
            FloatVector right = FloatVector.fromArray(FLOATS, b, b0 + i * PANEL + COUNT);
            FloatVector x0 = FloatVector.broadcast(FLOATS, a[a0 + i]);
            s00 = x0.fma(left, s00);
            s01 = x0.fma(right, s01);
            FloatVector x1 = FloatVector.broadcast(FLOATS, a[a1 + i]);
            s10 = x1.fma(left, s10);
            s11 = x1.fma(right, s11);
            FloatVector x2 = FloatVector.broadcast(FLOATS, a[a2 + i]);
            s20 = x2.fma(left, s20);
            s21 = x2.fma(right, s21);
            FloatVector x3 = FloatVector.broadcast(FLOATS, a[a3 + i]);
            s30 = x3.fma(left, s30);
            s31 = x3.fma(right, s31);
            FloatVector x4 = FloatVector.broadcast(FLOATS, a[a4 + i]);
            s40 = x4.fma(left, s40);
            s41 = x4.fma(right, s41);
            FloatVector x5 = FloatVector.broadcast(FLOATS, a[a5 + i]);
            s50 = x5.fma(left, s50);
            s51 = x5.fma(right, s51);
            FloatVector x6 = FloatVector.broadcast(FLOATS, a[a6 + i]);
            s60 = x6.fma(left, s60);
            s61 = x6.fma(right, s61);
            FloatVector x7 = FloatVector.broadcast(FLOATS, a[a7 + i]);
            s70 = x7.fma(left, s70);
            s71 = x7.fma(right, s71);
        }
        if (accumulate) {
            s00 = s00.add(FloatVector.fromArray(FLOATS, c, c0));
            s01 = s01.add(FloatVector.fromArray(FLOATS, c, c0 + COUNT));
            s10 = s10.add(FloatVector.fromArray(FLOATS, c, c1));
            s11 = s11.add(FloatVector.fromArray(FLOATS, c, c1 + COUNT));
            s20 = s20.add(FloatVector.fromArray(FLOATS, c, c2));
            s21 = s21.add(FloatVector.fromArray(FLOATS, c, c2 + COUNT));
            s30 = s30.add(FloatVector.fromArray(FLOATS, c, c3));
            s31 = s31.add(FloatVector.fromArray(FLOATS, c, c3 + COUNT));
            s40 = s40.add(FloatVector.fromArray(FLOATS, c, c4));
            s41 = s41.add(FloatVector.fromArray(FLOATS, c, c4 + COUNT));
            s50 = s50.add(FloatVector.fromArray(FLOATS, c, c5));
            s51 = s51.add(FloatVector.fromArray(FLOATS, c, c5 + COUNT));
            s60 = s60.add(FloatVector.fromArray(FLOATS, c, c6));
            s61 = s61.add(FloatVector.fromArray(FLOATS, c, c6 + COUNT));
            s70 = s70.add(FloatVector.fromArray(FLOATS, c, c7));
            s71 = s71.add(FloatVector.fromArray(FLOATS, c, c7 + COUNT));
        }
        s00.intoArray(c, c0);
        s01.intoArray(c, c0 + COUNT);
        s10.intoArray(c, c1);
        s11.intoArray(c, c1 + COUNT);
        s20.intoArray(c, c2);
        s21.intoArray(c, c2 + COUNT);
        s30.intoArray(c, c3);
        s31.intoArray(c, c3 + COUNT);
        s40.intoArray(c, c4);
        s41.intoArray(c, c4 + COUNT);
        s50.intoArray(c, c5);
        s51.intoArray(c, c5 + COUNT);
        s60.intoArray(c, c6);
        s61.intoArray(c, c6 + COUNT);
        s70.intoArray(c, c7);
        s71.intoArray(c, c7 + COUNT);
    }

    private static void one(float[] a, int a0, float[] b, int b0, int k, float[] c, int c0, boolean accumulate) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        for (int i = 0; i < k; i++) {
            FloatVector x = FloatVector.broadcast(FLOATS, a[a0 + i]);
            s0 = x.fma(FloatVector.fromArray(FLOATS, b, b0 + i * PANEL), s0);
            s1 = x.fma(FloatVector.fromArray(FLOATS, b, b0 + i * PANEL + COUNT), s1);
        }
        if (accumulate) {
            s0 = s0.add(FloatVector.fromArray(FLOATS, c, c0));
            s1 = s1.add(FloatVector.fromArray(FLOATS, c, c0 + COUNT));
        }
        s0.intoArray(c, c0);
        s1.intoArray(c, c0 + COUNT);
    }
}
