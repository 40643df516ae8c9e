package nibble.calibrate;

import nibble.pack.Half;
import nibble.pack.QuantizationSpec;
import nibble.pack.Rounding;
import org.jspecify.annotations.Nullable;

/**
 * A linear in the basis it will be rounded in: {@code W' = diag(1/rows) W diag(columns)}. Its input is then divided by
 * {@code columns} and its output multiplied by {@code rows}, both by whatever stands before and behind it.
 *
 * @param weights W [outFeatures, inFeatures], row-major, original
 * @param rows divisor of each output row, or null for ones
 * @param columns factor of each input column, or null for ones
 */
record ScaledLinear(
        float[] weights, int outFeatures, int inFeatures, float @Nullable [] rows, float @Nullable [] columns) {

    static ScaledLinear of(float[] weights, int outFeatures, int inFeatures) {
        return new ScaledLinear(weights, outFeatures, inFeatures, null, null);
    }

    ScaledLinear withRows(float @Nullable [] divisors) {
        return new ScaledLinear(weights, outFeatures, inFeatures, divisors, columns);
    }

    ScaledLinear withColumns(float @Nullable [] factors) {
        return new ScaledLinear(weights, outFeatures, inFeatures, rows, factors);
    }

    /** Writes row {@code row} of W'. */
    void scaledRow(int row, float[] into, int offset) {
        int from = row * inFeatures;
        float[] c = columns;
        if (c == null) {
            System.arraycopy(weights, from, into, offset, inFeatures);
        } else {
            for (int i = 0; i < inFeatures; i++) {
                into[offset + i] = weights[from + i] * c[i];
            }
        }
        if (rows != null) {
            float r = rows[row];
            for (int i = 0; i < inFeatures; i++) {
                into[offset + i] /= r;
            }
        }
    }

    /**
     * Writes row {@code row} of {@code Ŵ − W}: what rounding W' and reading it back does to the original weights.
     *
     * @param limits [outFeatures, groups] magnitudes to clip W' to, or null for none
     */
    void errorRow(int row, QuantizationSpec spec, float @Nullable [] limits, float[] into, int offset) {
        float[] scaled = new float[inFeatures];
        scaledRow(row, scaled, 0);
        int length = spec.columnsPerGroup(inFeatures);
        int groups = inFeatures / length;
        for (int group = 0; group < groups; group++) {
            float limit = limits == null ? Float.POSITIVE_INFINITY : limits[row * groups + group];
            Rounding.grid(scaled, group * length, length, limit)
                    .nearest(scaled, group * length, length, into, offset + group * length);
        }
        float[] c = columns;
        float r = rows == null ? 1f : rows[row];
        int from = row * inFeatures;
        if (c == null) {
            for (int i = 0; i < inFeatures; i++) {
                into[offset + i] = into[offset + i] * r - weights[from + i];
            }
        } else {
            for (int i = 0; i < inFeatures; i++) {
                into[offset + i] = into[offset + i] * r / c[i] - weights[from + i];
            }
        }
    }

    /** An fp16 norm as stored, with a scale divided out, and the scale that makes the product exact again. */
    record FoldedNorm(short[] norm, float[] effective) {}

    /**
     * Divides a scale out of a norm's gain. What is stored of the quotient is rounded to fp16, so the scale the linears need
     * is {@code norm / rounded}, not quite the one asked for. A channel whose quotient does not fit fp16 keeps its norm.
     *
     * @param norm the gain
     * @param offset what the stored weight lacks of the gain
     */
    static FoldedNorm fold(float[] norm, float[] scale, float offset) {
        short[] folded = new short[norm.length];
        float[] effective = new float[norm.length];
        for (int i = 0; i < norm.length; i++) {
            float stored = Half.round(norm[i] / scale[i] - offset);
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
