package nibble.engine.vector;

import static nibble.engine.vector.Lanes.COUNT;
import static nibble.engine.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/** {@code into += x}. */
public final class Addition {
    private Addition() {}

    public static void run(float[] x, float[] into, int from, int to) {
        int i = from;
        for (; i <= to - COUNT; i += COUNT) {
            FloatVector.fromArray(FLOATS, into, i).add(FloatVector.fromArray(FLOATS, x, i)).intoArray(into, i);
        }
        for (; i < to; i++) {
            into[i] += x[i];
        }
    }
}
