package nibble.pack;

/**
 * Holds the values a group of weights may take: {@code (code − zero) · scale} for codes 0…most, rounded to fp16. Zero
 * is always one of them.
 *
 * @param scale distance of neighbouring values; an fp16 value above zero, or infinite where none fits
 * @param zero the code of the value 0, 0…most
 * @param most the largest code: 15 at 4 bits
 */
public record Grid(float scale, int zero, int most) {
    // Adding and taking away 1.5·2^23 leaves a float of magnitude below 2^22 rounded to an integer, half to even, and
    // unlike
    // Math.rint the two additions turn into vector instructions.
    private static final float ROUND = 0x1.8p23f;

    /**
     * Returns the grid that spans a group of weights from {@code least} to {@code greatest}, widened to hold 0. The
     * scale is rounded
     * to fp16 first and the zero chosen by the rounded scale, since codes are read back with that one.
     *
     * <p>A group of nothing but zeros gets the smallest normal fp16 scale. A range too small for a normal scale gets a
     * subnormal one rounded up, never 0.
     *
     * @param most the largest code
     */
    public static Grid spanning(float least, float greatest, int most) {
        float low = Math.min(least, 0f);
        float high = Math.max(greatest, 0f);
        float range = high - low;
        if (range == 0f) {
            return new Grid(Half.MIN_NORMAL, 0, most);
        }
        float exact = range / most;
        float scale = Half.round(exact);
        if (scale < Half.MIN_NORMAL && scale < exact) {
            scale += Half.MIN_VALUE;
        }
        int zero = zero(low, scale, most);
        while (scale <= Half.MAX && Math.max(zero, most - zero) * scale >= 65520f) {
            // The outermost value would read back as infinite: one fp16 step less.
            scale = Float.float16ToFloat((short) (Float.floatToFloat16(scale) - 1));
            zero = zero(low, scale, most);
        }
        return new Grid(scale, zero, most);
    }

    /**
     * Returns the grid with its zero in the middle that spans ±{@code largest}: its scale is that by half of the
     * largest code, rounded to fp16, as GPTQ and compressed-tensors have it. At 4 bits the value +8 · scale does not
     * exist, so the largest weight above zero comes out as 7/7.5 of itself.
     *
     * <p>Zeros and small ranges as in {@link #spanning}.
     *
     * @param largest magnitude, at least 0
     * @param most the largest code
     */
    public static Grid symmetric(float largest, int most) {
        int middle = (most + 1) / 2;
        if (largest == 0f) {
            return new Grid(Half.MIN_NORMAL, middle, most);
        }
        float exact = largest / (most / 2f);
        float scale = Half.round(exact);
        if (scale < Half.MIN_NORMAL && scale < exact) {
            scale += Half.MIN_VALUE;
        }
        while (scale <= Half.MAX && middle * scale >= 65520f) {
            scale = Float.float16ToFloat((short) (Float.floatToFloat16(scale) - 1));
        }
        return new Grid(scale, middle, most);
    }

    /** Returns the grid of a spec for a group of weights from {@code least} to {@code greatest}. */
    public static Grid of(QuantizationSpec spec, float least, float greatest) {
        return spec.symmetric()
                ? symmetric(Math.max(-least, greatest), spec.maxCode())
                : spanning(least, greatest, spec.maxCode());
    }

    private static int zero(float low, float scale, int most) {
        return (int) Math.clamp(Math.rint(-low / scale), 0, most);
    }

    /** Returns whether the scale is a finite fp16 value. */
    public boolean isFinite() {
        return scale <= Half.MAX;
    }

    /** Returns the code of the nearest value, halves to the even side of zero. */
    public int code(float weight) {
        float beyond = 2f * (most + 1);
        float steps = ((Math.clamp(weight / scale, -beyond, beyond)) + ROUND) - ROUND;
        return (int) Math.clamp(steps + zero, 0f, most);
    }

    /** Returns the value of a code, as loaders in fp16 reconstruct it. */
    public float value(int code) {
        return Half.round((code - zero) * scale);
    }

    /** Writes the nearest value of each of {@code length} weights: {@code value(code(weight))} for whole runs. */
    public void nearest(float[] weights, int offset, int length, float[] into, int intoOffset) {
        float low = -zero;
        float high = most - zero;
        for (int i = 0; i < length; i++) {
            float steps = Math.min(Math.max(weights[offset + i] / scale, low), high);
            into[intoOffset + i] = Float.float16ToFloat(Float.floatToFloat16(((steps + ROUND) - ROUND) * scale));
        }
    }
}
