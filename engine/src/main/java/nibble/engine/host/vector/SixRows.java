package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;
import static nibble.engine.host.vector.MicroKernel.PANEL;

import jdk.incubator.vector.FloatVector;

/**
 * The product of six rows with two vectors of a panel, as {@link MicroKernel} has it for eight: with two vectors and a
 * scalar the sums fill fifteen of AVX2's sixteen registers. Eight rows need nineteen, and each step then writes sums
 * to memory and reads them back. All is written out, as there: a method that stored the sums behind branches halved the
 * speed.
 */
final class SixRows {
    static final int ROWS = 6;

    private SixRows() {}

    /**
     * Computes the rows 0 … last; those up to the sixth repeat the last one, always with the same sums.
     *
     * @param last at most 5
     */
    static void multiply(
            int last,
            int k,
            float[] a,
            int a0,
            int aStride,
            float[] b,
            int b0,
            float[] c,
            int c0,
            int cStride,
            boolean accumulate) {
        int a1 = a0 + Math.min(1, last) * aStride;
        int a2 = a0 + Math.min(2, last) * aStride;
        int a3 = a0 + Math.min(3, last) * aStride;
        int a4 = a0 + Math.min(4, last) * aStride;
        int a5 = a0 + Math.min(5, last) * aStride;
        FloatVector left0 = FloatVector.zero(FLOATS), left1 = left0, left2 = left0, left3 = left0, left4 = left0;
        FloatVector left5 = left0, right0 = left0, right1 = left0, right2 = left0, right3 = left0, right4 = left0;
        FloatVector right5 = left0;
        for (int i = 0; i < k; i++) {
            FloatVector left = FloatVector.fromArray(FLOATS, b, b0 + i * PANEL);
            FloatVector right = FloatVector.fromArray(FLOATS, b, b0 + i * PANEL + COUNT);
            FloatVector x0 = FloatVector.broadcast(FLOATS, a[a0 + i]);
            left0 = x0.fma(left, left0);
            right0 = x0.fma(right, right0);
            FloatVector x1 = FloatVector.broadcast(FLOATS, a[a1 + i]);
            left1 = x1.fma(left, left1);
            right1 = x1.fma(right, right1);
            FloatVector x2 = FloatVector.broadcast(FLOATS, a[a2 + i]);
            left2 = x2.fma(left, left2);
            right2 = x2.fma(right, right2);
            FloatVector x3 = FloatVector.broadcast(FLOATS, a[a3 + i]);
            left3 = x3.fma(left, left3);
            right3 = x3.fma(right, right3);
            FloatVector x4 = FloatVector.broadcast(FLOATS, a[a4 + i]);
            left4 = x4.fma(left, left4);
            right4 = x4.fma(right, right4);
            FloatVector x5 = FloatVector.broadcast(FLOATS, a[a5 + i]);
            left5 = x5.fma(left, left5);
            right5 = x5.fma(right, right5);
        }
        int c1 = c0 + Math.min(1, last) * cStride;
        int c2 = c0 + Math.min(2, last) * cStride;
        int c3 = c0 + Math.min(3, last) * cStride;
        int c4 = c0 + Math.min(4, last) * cStride;
        int c5 = c0 + Math.min(5, last) * cStride;
        if (accumulate) {
            left0 = left0.add(FloatVector.fromArray(FLOATS, c, c0));
            right0 = right0.add(FloatVector.fromArray(FLOATS, c, c0 + COUNT));
            left1 = left1.add(FloatVector.fromArray(FLOATS, c, c1));
            right1 = right1.add(FloatVector.fromArray(FLOATS, c, c1 + COUNT));
            left2 = left2.add(FloatVector.fromArray(FLOATS, c, c2));
            right2 = right2.add(FloatVector.fromArray(FLOATS, c, c2 + COUNT));
            left3 = left3.add(FloatVector.fromArray(FLOATS, c, c3));
            right3 = right3.add(FloatVector.fromArray(FLOATS, c, c3 + COUNT));
            left4 = left4.add(FloatVector.fromArray(FLOATS, c, c4));
            right4 = right4.add(FloatVector.fromArray(FLOATS, c, c4 + COUNT));
            left5 = left5.add(FloatVector.fromArray(FLOATS, c, c5));
            right5 = right5.add(FloatVector.fromArray(FLOATS, c, c5 + COUNT));
        }
        left0.intoArray(c, c0);
        right0.intoArray(c, c0 + COUNT);
        left1.intoArray(c, c1);
        right1.intoArray(c, c1 + COUNT);
        left2.intoArray(c, c2);
        right2.intoArray(c, c2 + COUNT);
        left3.intoArray(c, c3);
        right3.intoArray(c, c3 + COUNT);
        left4.intoArray(c, c4);
        right4.intoArray(c, c4 + COUNT);
        left5.intoArray(c, c5);
        right5.intoArray(c, c5 + COUNT);
    }
}
