package nibble.pack;

/**
 * Holds the sixteen values a group of weights may take: {@code (code − zero) · scale} for codes 0…15, rounded to fp16.
 * Zero is always one of them.
 *
 * @param scale distance of neighbouring values; an fp16 value above zero, or infinite where none fits
 * @param zero the code of the value 0, 0…15
 */
public record Grid(float scale, int zero) {
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
     */
    public static Grid spanning(float least, float greatest) {
        float low = Math.min(least, 0f);
        float high = Math.max(greatest, 0f);
        float range = high - low;
        if (range == 0f) {
            return new Grid(Half.MIN_NORMAL, 0);
        }
        float exact = range / QuantizationSpec.MAX_CODE;
        float scale = Half.round(exact);
        if (scale < Half.MIN_NORMAL && scale < exact) {
            scale += Half.MIN_VALUE;
        }
        int zero = zero(low, scale);
        while (scale <= Half.MAX && Math.max(zero, QuantizationSpec.MAX_CODE - zero) * scale >= 65520f) {
            // The outermost value would read back as infinite: one fp16 step less.
            scale = Float.float16ToFloat((short) (Float.floatToFloat16(scale) - 1));
            zero = zero(low, scale);
        }
        return new Grid(scale, zero);
    }

    /**
     * Returns the grid with its zero in the middle that spans ±{@code largest}: its scale is two fifteenths of that,
     * rounded to fp16, as GPTQ and compressed-tensors have it. The value +8 · scale does not exist, so the largest
     * weight above zero comes out as 7/7.5 of itself.
     *
     * <p>Zeros and small ranges as in {@link #spanning}.
     *
     * @param largest magnitude, at least 0
     */
    public static Grid symmetric(float largest) {
        if (largest == 0f) {
            return new Grid(Half.MIN_NORMAL, QuantizationSpec.MIDDLE);
        }
        float exact = largest / (QuantizationSpec.MAX_CODE / 2f);
        float scale = Half.round(exact);
        if (scale < Half.MIN_NORMAL && scale < exact) {
            scale += Half.MIN_VALUE;
        }
        while (scale <= Half.MAX && QuantizationSpec.MIDDLE * scale >= 65520f) {
            scale = Float.float16ToFloat((short) (Float.floatToFloat16(scale) - 1));
        }
        return new Grid(scale, QuantizationSpec.MIDDLE);
    }

    /** Returns the grid of a spec for a group of weights from {@code least} to {@code greatest}. */
    public static Grid of(QuantizationSpec spec, float least, float greatest) {
        return spec.symmetric() ? symmetric(Math.max(-least, greatest)) : spanning(least, greatest);
    }

    private static int zero(float low, float scale) {
        return (int) Math.clamp(Math.rint(-low / scale), 0, QuantizationSpec.MAX_CODE);
    }

    /** Returns whether the scale is a finite fp16 value. */
    public boolean isFinite() {
        return scale <= Half.MAX;
    }

    /** Returns the code of the nearest value, halves to the even side of zero. */
    public int code(float weight) {
        float steps = ((Math.clamp(weight / scale, -32f, 32f)) + ROUND) - ROUND;
        return (int) Math.clamp(steps + zero, 0f, 15f);
    }

    /** Returns the value of a code, as loaders in fp16 reconstruct it. */
    public float value(int code) {
        return Half.round((code - zero) * scale);
    }

    /** Writes the nearest value of each of {@code length} weights: {@code value(code(weight))} for whole runs. */
    public void nearest(float[] weights, int offset, int length, float[] into, int intoOffset) {
        float low = -zero;
        float high = QuantizationSpec.MAX_CODE - zero;
        for (int i = 0; i < length; i++) {
            float steps = Math.min(Math.max(weights[offset + i] / scale, low), high);
            into[intoOffset + i] = Float.float16ToFloat(Float.floatToFloat16(((steps + ROUND) - ROUND) * scale));
        }
    }
}
