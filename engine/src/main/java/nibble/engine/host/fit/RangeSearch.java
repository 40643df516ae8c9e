package nibble.engine.host.fit;

import nibble.engine.quantize.FitSteps;
import nibble.pack.Grid;
import nibble.pack.QuantizationSpec;

/**
 * The grid of each group: from a share of its least weight to a share of its greatest, whichever leaves the least loss
 * {@code e C_gg eᵀ} of the group alone when weights go to the nearest code. The losses of all pairs of shares are one
 * product with C_gg.
 */
final class RangeSearch {
    private static final float[] WHOLE = {1};

    private final FitInput input;
    private final QuantizationSpec spec;
    private final float[] shares;

    RangeSearch(FitInput input, QuantizationSpec spec, int ranges) {
        this.input = input;
        this.spec = spec;
        this.shares = FitSteps.shares(ranges, spec.symmetric());
    }

    /** Sets scales and zeros. */
    void run(RowTile tile) {
        int length = input.group();
        int width = input.groups() == 1 ? input.stride() : length;
        Grid[] grids = new Grid[shares.length * shares.length];
        float[] errors = new float[grids.length * length];
        float[] products = new float[grids.length * width];
        for (int row = 0; row < tile.rows; row++) {
            for (int group = 0; group < input.groups(); group++) {
                int at = row * tile.stride + group * length;
                int count = candidates(tile, at, length, grids, errors);
                int from = group * length;
                input.moment()
                        .multiply(
                                count,
                                errors,
                                0,
                                length,
                                from,
                                length,
                                from,
                                from + width,
                                products,
                                -from,
                                width,
                                false);
                int best = 0;
                double leastLoss = Double.POSITIVE_INFINITY;
                for (int i = 0; i < count; i++) {
                    double loss = 0;
                    for (int k = 0; k < length; k++) {
                        loss += errors[i * length + k] * products[i * width + k];
                    }
                    if (loss < leastLoss) {
                        leastLoss = loss;
                        best = i;
                    }
                }
                int slot = row * input.groups() + group;
                tile.scales[slot] = grids[best].scale();
                tile.zeros[slot] = grids[best].zero();
            }
        }
    }

    /** The grids of a group, the widest first, and what each leaves of its weights; returns their number. */
    private int candidates(RowTile tile, int at, int length, Grid[] grids, float[] errors) {
        float least = 0;
        float greatest = 0;
        for (int i = at; i < at + length; i++) {
            least = Math.min(least, tile.target[i]);
            greatest = Math.max(greatest, tile.target[i]);
        }
        int count = 0;
        for (float low : least == 0 && !spec.symmetric() ? WHOLE : shares) {
            for (float high : spec.symmetric() ? new float[] {low} : greatest == 0 ? WHOLE : shares) {
                grids[count] = Grid.of(spec, low * least, high * greatest);
                grids[count].nearest(tile.target, at, length, errors, count * length);
                for (int i = 0; i < length; i++) {
                    errors[count * length + i] -= tile.target[at + i];
                }
                count++;
            }
        }
        return count;
    }
}
