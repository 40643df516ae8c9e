package nibble.calibrate.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A way to choose the scale s of each channel from x, the mean size of its activations, and w, the mean size of its
 * weights relative to the largest of their group.
 *
 * @param ratio r of the formula; null for identity
 */
record Candidate(Formula formula, @Nullable Double ratio) {
    enum Formula {
        IDENTITY("identity"),
        ACTIVATION("x^r"),
        ACTIVATION_AND_WEIGHT("x^r/w^(1-r)");

        private final String label;

        Formula(String label) {
            this.label = label;
        }

        String label() {
            return label;
        }
    }

    static final Candidate IDENTITY = new Candidate(Formula.IDENTITY, null);
    private static final int STEPS = 20;
    private static final double LEAST = 1e-4;

    /**
     * All but the identity: AutoAWQ's grid of r, and r = 1, with either formula; without the two that repeat others.
     */
    static List<Candidate> grid() {
        List<Candidate> grid = new ArrayList<>();
        for (int i = 0; i <= STEPS; i++) {
            double ratio = (double) i / STEPS;
            if (i > 0) {
                grid.add(new Candidate(Formula.ACTIVATION, ratio));
            }
            if (i < STEPS) {
                grid.add(new Candidate(Formula.ACTIVATION_AND_WEIGHT, ratio));
            }
        }
        return grid;
    }

    /** The scale of each channel, normalised so that the largest and smallest are reciprocals. */
    float[] scales(double[] x, double[] w) {
        float[] scales = new float[x.length];
        if (ratio == null) {
            Arrays.fill(scales, 1f);
            return scales;
        }
        double r = ratio;
        double[] s = new double[x.length];
        double least = Double.POSITIVE_INFINITY;
        double greatest = 0;
        for (int i = 0; i < s.length; i++) {
            // StrictMath: the same digits on every machine.
            double value = StrictMath.pow(x[i], r);
            if (formula == Formula.ACTIVATION_AND_WEIGHT) {
                value /= StrictMath.pow(w[i], 1 - r) + LEAST;
            }
            s[i] = Math.max(value, LEAST);
            least = Math.min(least, s[i]);
            greatest = Math.max(greatest, s[i]);
        }
        double middle = Math.sqrt(least * greatest);
        for (int i = 0; i < s.length; i++) {
            float scale = (float) (s[i] / middle);
            scales[i] = Float.isFinite(scale) && scale > 0 ? scale : 1f;
        }
        return scales;
    }
}
