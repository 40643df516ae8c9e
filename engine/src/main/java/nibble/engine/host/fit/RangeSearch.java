package nibble.engine.host.fit;

import java.util.Arrays;
import nibble.engine.quantize.FitSteps;
import nibble.pack.Grid;
import nibble.pack.QuantizationSpec;

/**
 * The grid of each group: from a share of its least weight to a share of its greatest, whichever leaves the least loss
 * {@code e C_gg eᵀ} of the group alone when weights go to the nearest code.
 */
final class RangeSearch {
    private final FitInput input;
    private final QuantizationSpec spec;
    private final float[][] blocks;
    private final float[] shares;

    private static final float[] WHOLE = {1};

    RangeSearch(FitInput input, QuantizationSpec spec, int ranges) {
        this.input = input;
        this.spec = spec;
        this.blocks = new float[input.groups()][];
        int length = input.group();
        for (int group = 0; group < blocks.length; group++) {
            blocks[group] = new float[length * length];
            for (int i = 0; i < length * length; i++) {
                blocks[group][i] = input.moment().at(group * length + i / length, group * length + i % length);
            }
        }
        this.shares = FitSteps.shares(ranges, spec.symmetric());
    }

    /** Sets scales and zeros. */
    void run(RowTile tile) {
        int length = input.group();
        float[] error = new float[length];
        float[] product = new float[length];
        for (int row = 0; row < tile.rows; row++) {
            for (int group = 0; group < blocks.length; group++) {
                int at = row * tile.stride + group * length;
                float least = 0;
                float greatest = 0;
                for (int i = at; i < at + length; i++) {
                    least = Math.min(least, tile.target[i]);
                    greatest = Math.max(greatest, tile.target[i]);
                }
                Grid best = Grid.of(spec, least, greatest);
                double leastLoss = Double.POSITIVE_INFINITY;
                for (float low : least == 0 && !spec.symmetric() ? WHOLE : shares) {
                    for (float high : spec.symmetric() ? new float[] {low} : greatest == 0 ? WHOLE : shares) {
                        Grid grid = Grid.of(spec, low * least, high * greatest);
                        grid.nearest(tile.target, at, length, error, 0);
                        for (int i = 0; i < length; i++) {
                            error[i] -= tile.target[at + i];
                        }
                        double loss = quadratic(error, blocks[group], product);
                        if (loss < leastLoss) {
                            leastLoss = loss;
                            best = grid;
                        }
                    }
                }
                int slot = row * blocks.length + group;
                tile.scales[slot] = best.scale();
                tile.zeros[slot] = best.zero();
            }
        }
    }

    /** {@code e B eᵀ}. */
    private static double quadratic(float[] e, float[] block, float[] product) {
        int n = e.length;
        Arrays.fill(product, 0f);
        for (int i = 0; i < n; i++) {
            float factor = e[i];
            int row = i * n;
            for (int j = 0; j < n; j++) {
                product[j] += factor * block[row + j];
            }
        }
        double sum = 0;
        for (int i = 0; i < n; i++) {
            sum += (double) e[i] * product[i];
        }
        return sum;
    }
}
