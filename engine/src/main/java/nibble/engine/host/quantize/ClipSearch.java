package nibble.engine.host.quantize;

import java.util.Arrays;
import nibble.engine.backend.Workers;
import nibble.engine.quantize.Clip;
import nibble.pack.Grid;
import nibble.pack.QuantizationSpec;
import nibble.pack.Rounding;

/**
 * Searches how far to clip each group of weights before rounding: values beyond the clip get worse, all others get a
 * finer grid. Judged by the group's own output error {@code e C_gg eᵀ}.
 */
public final class ClipSearch {
    private final Workers workers;
    private final QuantizationSpec spec;

    public ClipSearch(Workers workers, QuantizationSpec spec) {
        this.workers = workers;
        this.spec = spec;
    }

    /**
     * Searches the clips of a linear.
     *
     * @param moment C of the linear's input [inFeatures, inFeatures], in the original basis
     */
    public Clip search(ScaledLinear linear, float[] moment) {
        int in = linear.inFeatures();
        int length = spec.columnsPerGroup(in);
        int groups = in / length;
        float[] limits = new float[linear.outFeatures() * groups];
        float[] shares = new float[limits.length];
        float[][] blocks = new float[groups][];
        for (int group = 0; group < groups; group++) {
            blocks[group] = block(linear, moment, group * length, length);
        }
        workers.forEach(linear.outFeatures(), row -> {
            float[] scaled = new float[in];
            linear.scaledRow(row, scaled, 0);
            float[] error = new float[length];
            float[] product = new float[length];
            for (int group = 0; group < groups; group++) {
                int at = group * length;
                float largest = 0;
                for (int i = at; i < at + length; i++) {
                    largest = Math.max(largest, Math.abs(scaled[i]));
                }
                int best = 0;
                double leastLoss = Double.POSITIVE_INFINITY;
                for (int step = 0; step < Clip.STEPS; step++) {
                    double loss = loss(scaled, at, length, limit(largest, step), blocks[group], error, product);
                    if (loss < leastLoss) {
                        leastLoss = loss;
                        best = step;
                    }
                }
                limits[row * groups + group] = best == 0 ? Float.POSITIVE_INFINITY : limit(largest, best);
                shares[row * groups + group] = Clip.share(best);
            }
        });
        return new Clip(limits, shares);
    }

    private static float limit(float largest, int step) {
        return largest * Clip.share(step);
    }

    /** The diagonal block of {@code S⁻¹ C S⁻¹}. */
    private static float[] block(ScaledLinear linear, float[] moment, int first, int length) {
        float[] block = new float[length * length];
        float[] columns = linear.basis().columns();
        for (int i = 0; i < length; i++) {
            for (int j = 0; j < length; j++) {
                float value = moment[(first + i) * linear.inFeatures() + first + j];
                block[i * length + j] = columns == null ? value : value / columns[first + i] / columns[first + j];
            }
        }
        return block;
    }

    private double loss(
            float[] scaled, int at, int length, float limit, float[] block, float[] error, float[] product) {
        // The grid spans the clipped group; nearest() then clips by itself, since codes end at 0 and 15.
        Grid grid = Rounding.grid(spec, scaled, at, length, limit);
        grid.nearest(scaled, at, length, error, 0);
        for (int i = 0; i < length; i++) {
            error[i] -= scaled[at + i];
        }
        Arrays.fill(product, 0f);
        for (int i = 0; i < length; i++) {
            float e = error[i];
            int row = i * length;
            for (int j = 0; j < length; j++) {
                product[j] += e * block[row + j];
            }
        }
        double loss = 0;
        for (int i = 0; i < length; i++) {
            loss += (double) error[i] * product[i];
        }
        return loss;
    }
}
