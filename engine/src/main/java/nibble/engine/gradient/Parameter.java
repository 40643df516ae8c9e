package nibble.engine.gradient;

import java.util.Arrays;

/**
 * Numbers that are tuned: each is {@code start · (1 + change)}, and {@code change} is what steps move. So one rate fits
 * all, whatever their size.
 */
public final class Parameter {
    private final float[] start;
    private final float[] change;
    private final float[] values;
    /** Of {@link #values}, summed by backward passes. */
    private final float[] gradient;

    /** @param start kept, not copied */
    public Parameter(float[] start) {
        this.start = start;
        this.change = new float[start.length];
        this.values = start.clone();
        this.gradient = new float[start.length];
    }

    public int size() {
        return start.length;
    }

    /** The numbers now; not a copy. */
    public float[] values() {
        return values;
    }

    /** Where backward passes add the gradient of the numbers; not a copy. */
    public float[] gradient() {
        return gradient;
    }

    /** The relative changes, not a copy; {@link #moved} after writing them. */
    public float[] change() {
        return change;
    }

    /** The gradient of one of the changes. */
    public float slope(int i) {
        return gradient[i] * start[i];
    }

    /** Follows the changes, and forgets the gradient. */
    public void moved() {
        for (int i = 0; i < start.length; i++) {
            values[i] = start[i] * (1 + change[i]);
        }
        Arrays.fill(gradient, 0f);
    }
}
