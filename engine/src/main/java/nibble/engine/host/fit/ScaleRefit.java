package nibble.engine.host.fit;

import nibble.pack.Half;

/**
 * Sets the scale of each group in turn to the least squares of its row's loss {@code e C eᵀ}, codes and zeros as they
 * are.
 */
final class ScaleRefit {
    private ScaleRefit() {}

    static void run(RowTile tile) {
        FitInput input = tile.input;
        int length = input.group();
        int stride = tile.stride;
        float[] gradient = tile.gradient(tile.errors());
        float[] steps = new float[tile.rows * length];
        float[] product = new float[tile.rows * stride];
        for (int group = 0; group < input.groups(); group++) {
            int first = group * length;
            for (int row = 0; row < tile.rows; row++) {
                float zero = tile.zeros[row * input.groups() + group];
                for (int i = 0; i < length; i++) {
                    steps[row * length + i] = tile.codes[row * stride + first + i] - zero;
                }
            }
            tile.multiply(steps, length, first, length, 0, stride, product, false);
            for (int row = 0; row < tile.rows; row++) {
                double curvature = 0;
                double slope = 0;
                int at = row * stride + first;
                for (int i = 0; i < length; i++) {
                    curvature += (double) steps[row * length + i] * product[at + i];
                    slope += (double) steps[row * length + i] * gradient[at + i];
                }
                int slot = row * input.groups() + group;
                float scale = curvature > 0 ? Half.round((float) (tile.scales[slot] - slope / curvature)) : 0;
                if (!(scale >= Half.MIN_NORMAL) || input.most() * scale > Half.MAX) {
                    continue;
                }
                float change = scale - tile.scales[slot];
                tile.scales[slot] = scale;
                for (int i = row * stride; i < (row + 1) * stride; i++) {
                    gradient[i] += change * product[i];
                }
            }
        }
    }
}
