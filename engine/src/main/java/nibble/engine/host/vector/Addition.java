package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/** Computes {@code into += x}. */
public final class Addition {
    private Addition() {}

    public static void run(float[] x, float[] into, int from, int to) {
        run(x, from, into, from, to - from);
    }

    /** Computes {@code n} elements from each offset on. */
    public static void run(float[] x, int offset, float[] into, int at, int n) {
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector.fromArray(FLOATS, into, at + i)
                    .add(FloatVector.fromArray(FLOATS, x, offset + i))
                    .intoArray(into, at + i);
        }
        for (; i < n; i++) {
            into[at + i] += x[offset + i];
        }
    }
}
