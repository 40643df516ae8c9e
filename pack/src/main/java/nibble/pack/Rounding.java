package nibble.pack;

import java.nio.file.Path;
import nibble.checkpoint.source.BadCheckpointException;
import org.jspecify.annotations.Nullable;

/**
 * Rounds to nearest: each group of weights to the {@link Grid} that spans it, or that spans it after clipping to
 * ±limit. Rows are independent, so callers may give them to different threads.
 */
public final class Rounding {
    private final Path file;
    private final String tensor;
    private final float[] weights;
    private final int outFeatures;
    private final int inFeatures;
    private final float @Nullable [] limits;
    private final QuantizationSpec spec;
    private final QuantizedLinear result;

    /**
     * Prepares the rounding of a linear.
     *
     * @param file where the weights come from, for messages
     * @param tensor their name, for messages
     * @param weights [outFeatures, inFeatures] row-major
     * @param limits [outFeatures, groups] magnitudes to clip to, or null for none
     */
    public Rounding(
            Path file,
            String tensor,
            float[] weights,
            int outFeatures,
            int inFeatures,
            QuantizationSpec spec,
            float @Nullable [] limits) {
        this.file = file;
        this.tensor = tensor;
        this.weights = weights;
        this.outFeatures = outFeatures;
        this.inFeatures = inFeatures;
        this.limits = limits;
        this.spec = spec;
        this.result = QuantizedLinear.blank(outFeatures, inFeatures, spec);
    }

    /** Rounds everything on the calling thread. */
    public static QuantizedLinear round(
            Path file,
            String tensor,
            float[] weights,
            int outFeatures,
            int inFeatures,
            QuantizationSpec spec,
            float @Nullable [] limits) {
        Rounding rounding = new Rounding(file, tensor, weights, outFeatures, inFeatures, spec, limits);
        for (int row = 0; row < outFeatures; row++) {
            rounding.row(row);
        }
        return rounding.result();
    }

    /** Returns the linear, complete once every row was rounded. */
    public QuantizedLinear result() {
        return result;
    }

    /**
     * Rounds one row; rows may be rounded in any order and by several threads.
     *
     * @throws BadCheckpointException if a weight is NaN or infinite, or a scale does not fit fp16
     */
    public void row(int row) {
        int length = result.groupSize();
        for (int group = 0; group < result.groups(); group++) {
            int at = row * inFeatures + group * length;
            int slot = row * result.groups() + group;
            Grid grid = grid(spec, weights, at, length, limits == null ? Float.POSITIVE_INFINITY : limits[slot]);
            if (!grid.isFinite()) {
                throw unfit(file, tensor, row, weights, row * inFeatures, group * length, length);
            }
            result.scales()[slot] = Float.floatToFloat16(grid.scale());
            result.zeros()[slot] = (byte) grid.zero();
            for (int i = 0; i < length; i += 2) {
                result.setCodes(row, group * length + i, grid.code(weights[at + i]), grid.code(weights[at + i + 1]));
            }
        }
    }

    /**
     * Returns the grid of a spec for {@code length} weights clipped to ±{@code limit}; its scale is not finite if a
     * weight is not.
     */
    public static Grid grid(QuantizationSpec spec, float[] weights, int offset, int length, float limit) {
        float least = 0f;
        float greatest = 0f;
        for (int i = offset; i < offset + length; i++) {
            least = Math.min(least, weights[i]);
            greatest = Math.max(greatest, weights[i]);
        }
        return Grid.of(spec, Math.max(least, -limit), Math.min(greatest, limit));
    }

    /**
     * Says what is wrong with a row that was found to have a scale beyond fp16.
     *
     * @param row its number, for the message
     * @param weights of the row
     * @param limits of the row's groups, or null for none
     */
    public static BadCheckpointException unfit(
            Path file, String tensor, int row, float[] weights, QuantizationSpec spec, float @Nullable [] limits) {
        int length = spec.columnsPerGroup(weights.length);
        for (int group = 0; group < weights.length / length; group++) {
            float limit = limits == null ? Float.POSITIVE_INFINITY : limits[group];
            if (!grid(spec, weights, group * length, length, limit).isFinite()) {
                return unfit(file, tensor, row, weights, 0, group * length, length);
            }
        }
        throw new IllegalArgumentException("row " + row + " of " + tensor + " fits");
    }

    private static BadCheckpointException unfit(
            Path file, String tensor, int row, float[] weights, int offset, int column, int length) {
        for (int i = column; i < column + length; i++) {
            float weight = weights[offset + i];
            if (!Float.isFinite(weight)) {
                return new BadCheckpointException(
                        file,
                        "tensor " + tensor + " element [" + row + ", " + i + "] is " + weight
                                + "; finite weights are needed. The file may be damaged: download it again");
            }
        }
        return new BadCheckpointException(
                file,
                "tensor " + tensor + " elements [" + row + ", " + column + "…" + (column + length - 1)
                        + "]: their range does not fit an fp16 scale (at most 65504)");
    }

    @Override
    public String toString() {
        return "Rounding of " + tensor + " [" + outFeatures + ", " + inFeatures + "]";
    }
}
