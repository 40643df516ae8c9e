package nibble.engine.selftest;

import java.util.Arrays;
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

    /** {@code Σ |a||b|} of a product of k terms, which rounding errors are relative to. */
    static double sizeOfProduct(float[] a, int aOffset, float[] b, int bOffset, int k) {
        double size = 0;
        for (int l = 0; l < k; l++) {
            size += Math.abs((double) a[aOffset + l] * b[bOffset + l]);
        }
        return size;
    }

    /** @param bound largest error allowed at an index */
    void compare(String size, float[] found, float[] expected, IntToDoubleFunction bound) {
        if (found.length != expected.length) {
            throw new IllegalStateException(
                    operation + " " + size + ": " + found.length + " values, " + expected.length + " expected");
        }
        cases++;
        values += found.length;
        // A bound costs as much as its value did in the reference.
        double[] shares = new double[found.length];
        Arrays.parallelSetAll(shares, i -> {
            double error = Math.abs((double) found[i] - expected[i]);
            return error == 0 ? 0 : error / bound.applyAsDouble(i);
        });
        for (int i = 0; i < found.length; i++) {
            double share = shares[i];
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
