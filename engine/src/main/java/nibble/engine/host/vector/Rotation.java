package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/** Computes the rotary embedding of one head at one position: element i turns with element i + half. */
public final class Rotation {
    private Rotation() {}

    /**
     * Rotates a head.
     *
     * @param x the head's 2 * half values from {@code offset}
     * @param angle where the position's cosines and sines begin
     */
    public static void head(float[] x, int offset, int half, float[] cos, float[] sin, int angle) {
        int i = 0;
        for (; i <= half - COUNT; i += COUNT) {
            FloatVector first = FloatVector.fromArray(FLOATS, x, offset + i);
            FloatVector second = FloatVector.fromArray(FLOATS, x, offset + half + i);
            FloatVector c = FloatVector.fromArray(FLOATS, cos, angle + i);
            FloatVector s = FloatVector.fromArray(FLOATS, sin, angle + i);
            first.mul(c).sub(second.mul(s)).intoArray(x, offset + i);
            second.mul(c).add(first.mul(s)).intoArray(x, offset + half + i);
        }
        for (; i < half; i++) {
            float first = x[offset + i];
            float second = x[offset + half + i];
            x[offset + i] = first * cos[angle + i] - second * sin[angle + i];
            x[offset + half + i] = second * cos[angle + i] + first * sin[angle + i];
        }
    }
}
