package nibble.engine.host.quantize;

import nibble.engine.quantize.Basis;
import nibble.pack.QuantizationSpec;
import nibble.pack.Rounding;
import org.jspecify.annotations.Nullable;

/**
 * Holds a linear on the heap in the basis it will be rounded in.
 *
 * @param weights W [outFeatures, inFeatures], row-major, original
 */
public record ScaledLinear(float[] weights, int outFeatures, int inFeatures, Basis basis) {

    /** Writes row {@code row} of W'. */
    public void scaledRow(int row, float[] into, int offset) {
        int from = row * inFeatures;
        float[] c = basis.columns();
        if (c == null) {
            System.arraycopy(weights, from, into, offset, inFeatures);
        } else {
            for (int i = 0; i < inFeatures; i++) {
                into[offset + i] = weights[from + i] * c[i];
            }
        }
        float[] rows = basis.rows();
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
            Rounding.grid(spec, scaled, group * length, length, limit)
                    .nearest(scaled, group * length, length, into, offset + group * length);
        }
        float[] c = basis.columns();
        float[] rows = basis.rows();
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
}
