package nibble.engine.selftest;

import java.util.function.IntToDoubleFunction;

/** Gathers the errors of one operation. */
final class Comparison {
    private final String operation;
    private int cases;
    private long values;
    private double worst;
    private String where = "";

    Comparison(String operation) {
        this.operation = operation;
    }

    /** @param bound largest error allowed at an index */
    void compare(String size, float[] found, float[] expected, IntToDoubleFunction bound) {
        if (found.length != expected.length) {
            throw new IllegalStateException(
                    operation + " " + size + ": " + found.length + " values, " + expected.length + " expected");
        }
        cases++;
        values += found.length;
        for (int i = 0; i < found.length; i++) {
            double error = Math.abs((double) found[i] - expected[i]);
            double share = error == 0 ? 0 : error / bound.applyAsDouble(i);
            // Written so that NaN is the worst of all.
            if (!(share <= worst)) {
                worst = Double.isNaN(worst) ? worst : share;
                where = size + " at " + i + ": " + found[i] + ", reference " + expected[i];
            }
        }
    }

    Check result() {
        return new Check(operation, cases, values, worst, where);
    }
}
