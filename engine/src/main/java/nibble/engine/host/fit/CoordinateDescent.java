package nibble.engine.host.fit;

import static nibble.engine.host.fit.FitInput.BLOCK;

import java.util.Arrays;

/** Moves one code of a row after another to where the row's loss {@code e C eᵀ} is least, given all the others. */
final class CoordinateDescent {
    private CoordinateDescent() {}

    /** Sweeps over all columns. */
    static void run(RowTile tile, int sweeps) {
        FitInput input = tile.input;
        int n = input.columns();
        int stride = tile.stride;
        float[] moves = new float[tile.rows * BLOCK];
        float[] block = new float[BLOCK * BLOCK];
        for (int sweep = 0; sweep < sweeps; sweep++) {
            float[] gradient = tile.gradient(tile.errors());
            for (int first = 0; first < n; first += BLOCK) {
                int count = Math.min(BLOCK, n - first);
                for (int i = 0; i < count; i++) {
                    for (int j = 0; j < count; j++) {
                        block[i * BLOCK + j] = input.moment().at(first + i, first + j);
                    }
                }
                Arrays.fill(moves, 0f);
                boolean moved = false;
                for (int row = 0; row < tile.rows; row++) {
                    moved |= row(tile, row, first, count, block, gradient, moves);
                }
                if (moved) {
                    // Inside the block the gradient is up to date; its padding is of no account.
                    tile.multiply(moves, BLOCK, first, count, 0, first, gradient, true);
                    int next = Math.min(first + BLOCK, stride);
                    tile.multiply(moves, BLOCK, first, count, next, stride, gradient, true);
                }
            }
        }
    }

    private static boolean row(
            RowTile tile, int row, int first, int count, float[] block, float[] gradient, float[] moves) {
        int at = row * tile.stride + first;
        boolean moved = false;
        for (int i = 0; i < count; i++) {
            float curvature = block[i * BLOCK + i];
            int slot = tile.slot(row, first + i);
            float steps = (float) Math.rint(-gradient[at + i] / (curvature * tile.scales[slot]));
            if (!(curvature > 0) || steps == 0) {
                continue;
            }
            float code = Math.clamp(tile.codes[at + i] + steps, 0f, tile.input.most());
            float move = (code - tile.codes[at + i]) * tile.scales[slot];
            if (move == 0) {
                continue;
            }
            tile.codes[at + i] = code;
            moves[row * BLOCK + i] = move;
            moved = true;
            for (int j = 0; j < count; j++) {
                gradient[at + j] += move * block[i * BLOCK + j];
            }
        }
        return moved;
    }
}
