package nibble.engine.quantize;

/**
 * Says how far groups of weights are clipped before they are rounded.
 *
 * @param limits magnitudes to clip to [outFeatures, groups], in the basis they were searched in; infinite means no clip
 * @param shares the clip as a share of the group's largest weight, 1 for none
 */
public record Clip(float[] limits, float[] shares) {
    /** Clips tried: ±max·(1 − i/20), i = 0…9, as AutoAWQ does. */
    public static final int STEPS = 10;

    /** What a step takes of the largest weight. */
    public static final float SHRINK = 1f / 20;

    /** Returns the share of the largest weight that step {@code step} clips to. */
    public static float share(int step) {
        return 1 - step * SHRINK;
    }
}
