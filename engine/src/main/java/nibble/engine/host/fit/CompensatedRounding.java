package nibble.engine.host.fit;

import static nibble.engine.host.fit.FitInput.BLOCK;

/**
 * Rounds the columns of a row in the order of their activation; those not yet rounded move to make up for each error,
 * by the inverse of the damped C (Frantar et al., "GPTQ", arXiv 2210.17323, in order of activation with the groups of
 * the plain order).
 */
final class CompensatedRounding {
    private CompensatedRounding() {}

    /** Sets codes, given scales and zeros. */
    static void run(RowTile tile) {
        FitInput input = tile.input;
        int n = input.columns();
        int stride = tile.stride;
        float[] moved = new float[tile.rows * stride];
        for (int row = 0; row < tile.rows; row++) {
            for (int i = 0; i < n; i++) {
                moved[row * stride + i] = tile.target[row * stride + input.order()[i]];
            }
        }
        float[] errors = new float[tile.rows * BLOCK];
        float[] factor = new float[BLOCK * BLOCK];
        for (int first = 0; first < n; first += BLOCK) {
            int count = Math.min(BLOCK, n - first);
            for (int i = 0; i < count; i++) {
                for (int j = i; j < count; j++) {
                    factor[i * BLOCK + j] = input.factor().at(first + i, first + j);
                }
            }
            for (int i = 0; i < count; i++) {
                int column = input.order()[first + i];
                float pivot = factor[i * BLOCK + i];
                for (int row = 0; row < tile.rows; row++) {
                    int at = row * stride + first;
                    int slot = tile.slot(row, column);
                    float weight = moved[at + i];
                    float code = tile.code(weight, slot);
                    tile.codes[row * stride + column] = code;
                    float error = ((code - tile.zeros[slot]) * tile.scales[slot] - weight) / pivot;
                    errors[row * BLOCK + i] = error;
                    for (int j = i + 1; j < count; j++) {
                        moved[at + j] += error * factor[i * BLOCK + j];
                    }
                }
            }
            int rest = first + count;
            if (rest < n) {
                input.factor()
                        .multiply(tile.rows, errors, 0, BLOCK, first, count, rest, stride, moved, 0, stride, true);
            }
        }
    }
}
