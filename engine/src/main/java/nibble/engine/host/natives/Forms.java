package nibble.engine.host.natives;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicIntegerArray;

/** The forms of activations that an instruction set takes for each type of weights, by the library's numbers. */
final class Forms {
    private static final NativeFunction FORM = NativeFunction.of("form");
    private static final NativeFunction FLOATS = NativeFunction.of("prepared_floats");

    /** Types have smaller numbers. */
    private static final int TYPES = 128;

    private static final int UNKNOWN = -2;

    /** Of the sets, each in fp32 and in bytes. */
    private static final Forms[] ALL = {new Forms(0, 0), new Forms(0, 1), new Forms(1, 0), new Forms(1, 1)};

    private final int set;
    private final int way;
    private final AtomicIntegerArray known;

    private Forms(int set, int way) {
        int[] none = new int[TYPES];
        Arrays.fill(none, UNKNOWN);
        this.set = set;
        this.way = way;
        this.known = new AtomicIntegerArray(none);
    }

    /** Returns those of a set. */
    static Forms of(int set, long way) {
        return ALL[2 * set + (int) way];
    }

    /** Returns the form for a type, which is asked of the library once. */
    int of(int type) {
        int form = known.getPlain(type);
        if (form == UNKNOWN) {
            form = (int) FORM.call(new long[] {set, way, type});
            known.setPlain(type, form);
        }
        return form;
    }

    /** Returns the floats of a prepared row. */
    int floats(int form, int columns) {
        return (int) FLOATS.call(new long[] {way, form, columns});
    }
}
