package nibble.engine.attention;

/**
 * Rounds keys and values of a head to 8-bit codes: {@code x ≈ code * scale}, scale = max |x| / 127 over the head of one
 * token, codes from -127 to 127. No element is off by more than {@link #mostError}.
 *
 * <p>So a score {@code q · k / √d} changes by δ ≤ {@code Σ|q| mostError(k) / √d} at most. Each weight of the softmax
 * then changes by a factor from e^-2δ to e^2δ, and a result of attention by at most {@code (e^2δ - 1) max|v| +
 * mostError(v)}, where δ, max|v| and mostError(v) are the greatest of the keys that are seen.
 */
public final class HeadCodes {
    /** The greatest code. */
    public static final int MOST = 127;

    /** Numbers that are all smaller become zero: {@code 127 / max} would overflow soon. */
    private static final float LEAST = 1e-30f;

    private HeadCodes() {}

    /**
     * Writes the codes of a head.
     *
     * @return the scale; NaN or infinite if a number is, so that no such number gets lost
     */
    public static float encode(float[] x, int from, int count, byte[] codes, int to) {
        float largest = 0;
        for (int i = from; i < from + count; i++) {
            largest = Math.max(largest, Math.abs(x[i]));
        }
        boolean zero = largest < LEAST;
        float inverse = zero ? 0 : MOST / largest;
        for (int i = 0; i < count; i++) {
            codes[to + i] = (byte) Math.rint(x[from + i] * inverse);
        }
        return zero ? 0 : largest / MOST;
    }

    /** Returns the most by which an element of a head differs from its code's value, rounding of fp32 included. */
    public static double mostError(double largest) {
        return largest * (0.5 / MOST + 0x1p-21) + LEAST;
    }
}
