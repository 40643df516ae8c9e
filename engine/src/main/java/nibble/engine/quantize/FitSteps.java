package nibble.engine.quantize;

/**
 * Says which steps a fit takes; each can be left out.
 *
 * @param propagate whether weights are first moved to undo the error of what was quantized before
 * @param ranges ends of the range tried on either side, {@link #LEAST_SHARE} to 1 of the largest weight; 1 takes it all
 * @param compensate whether columns are rounded in turn and the rest makes up for each error; else to nearest
 * @param sweeps sweeps of coordinate descent after rounding
 * @param refits most rounds of a refit of the scales and one sweep of coordinate descent
 */
public record FitSteps(boolean propagate, int ranges, boolean compensate, int sweeps, int refits) {
    /** All steps. */
    public static final FitSteps ALL = new FitSteps(true, 9, true, 2, 4);

    /**
     * Returns the shares of a range's end that are tried, 1 first.
     *
     * @param symmetric whether there is one end instead of two, which is searched in smaller steps
     */
    public static float[] shares(int ranges, boolean symmetric) {
        float[] shares = new float[Math.max(1, symmetric ? 4 * ranges : ranges)];
        for (int i = 0; i < shares.length; i++) {
            shares[i] = (float) (1 - (1 - LEAST_SHARE) * i / Math.max(1, shares.length - 1));
        }
        return shares;
    }

    /** The smallest share of the largest weight that a range ends at. */
    public static final double LEAST_SHARE = 0.6;

    /** Added to C's diagonal, as a share of it, before C is inverted: what the text did not show is not believed. */
    public static final double DAMPING = 0.01;

    /** Rounds of refits end when one lowers the loss of some rows by less than this share. */
    public static final double WORTHWHILE = 1e-3;
}
