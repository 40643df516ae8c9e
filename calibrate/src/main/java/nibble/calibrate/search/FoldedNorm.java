package nibble.calibrate.search;

import nibble.pack.Brain;
import nibble.pack.Half;

/**
 * An fp16 norm as stored, with a scale divided out, and the scale that makes the product exact again.
 *
 * @param norm as stored, fp16 bits
 * @param effective what the columns behind the norm are multiplied by
 */
record FoldedNorm(short[] norm, float[] effective) {

    /**
     * Divides a scale out of a norm's gain. What is stored of the quotient is rounded, so the scale the linears
     * need is {@code norm / rounded}, not quite the one asked for. A channel whose quotient does not fit fp16 keeps its
     * norm.
     *
     * <p>A gain that is stored less one is rounded to bf16, so that loaders that compute in bf16 have the same norm:
     * less one, a small gain would lose nearly all of its digits there. vLLM takes Gemma 3 in bf16 or fp32 only.
     *
     * @param norm the gain
     * @param offset what the stored weight lacks of the gain
     */
    static FoldedNorm of(float[] norm, float[] scale, float offset) {
        short[] folded = new short[norm.length];
        float[] effective = new float[norm.length];
        for (int i = 0; i < norm.length; i++) {
            float wanted = norm[i] / scale[i] - offset;
            float stored = Half.round(offset == 0f ? wanted : Brain.round(wanted));
            if (stored + offset == 0f || !Float.isFinite(stored)) {
                stored = Half.round(norm[i] - offset);
            }
            folded[i] = Float.floatToFloat16(stored);
            float quotient = stored + offset;
            // A norm of 0 silences its channel, whatever its column is scaled by.
            effective[i] = quotient == 0f ? 1f : norm[i] / quotient;
        }
        return new FoldedNorm(folded, effective);
    }
}
