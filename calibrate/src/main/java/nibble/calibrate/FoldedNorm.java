package nibble.calibrate;

import nibble.pack.Half;

/**
 * An fp16 norm with a scale divided out, and the scale that makes the product exact again.
 *
 * @param norm fp16 bits
 * @param effective what the columns behind the norm are multiplied by
 */
record FoldedNorm(short[] norm, float[] effective) {

    /**
     * Divides a scale out of a norm's weight. The quotient is rounded to fp16, so the scale the linears need is
     * {@code norm / rounded}, not quite the one asked for. A channel whose quotient does not fit fp16 keeps its norm.
     */
    static FoldedNorm of(float[] norm, float[] scale) {
        short[] folded = new short[norm.length];
        float[] effective = new float[norm.length];
        for (int i = 0; i < norm.length; i++) {
            float quotient = Half.round(norm[i] / scale[i]);
            if (quotient == 0f || !Float.isFinite(quotient)) {
                quotient = Half.round(norm[i]);
            }
            folded[i] = Float.floatToFloat16(quotient);
            // A norm of 0 silences its channel, whatever its column is scaled by.
            effective[i] = quotient == 0f ? 1f : norm[i] / quotient;
        }
        return new FoldedNorm(folded, effective);
    }
}
