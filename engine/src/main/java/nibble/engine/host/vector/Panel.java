package nibble.engine.host.vector;

import static nibble.engine.host.vector.MicroKernel.PANEL;

import java.util.Arrays;

/**
 * Puts 32 rows of a matrix [n, k] side by side, as {@link MicroKernel} wants them.
 *
 * <pre>
 * rows n .. n+32 of the source, columns k .. k+depth          panel [depth][32]
 *   n    : a0 a1 a2 …                                           a0 b0 c0 …  ← 32 values
 *   n + 1: b0 b1 b2 …                             →             a1 b1 c1 …
 *   n + 2: c0 c1 c2 …                                           a2 b2 c2 …
 * </pre>
 */
final class Panel {
    private Panel() {}

    /**
     * @param rows at most 32; columns of the panel beyond them become 0
     * @param row at least {@code depth} floats of scratch
     */
    static void fill(
            RowSource source, int first, int rows, int column, int depth, float[] row, float[] panel, int offset) {
        if (rows < PANEL) {
            Arrays.fill(panel, offset, offset + depth * PANEL, 0f);
        }
        for (int j = 0; j < rows; j++) {
            source.read(first + j, column, depth, row, 0);
            spread(row, depth, panel, offset + j);
        }
    }

    private static void spread(float[] row, int depth, float[] panel, int offset) {
        for (int i = 0; i < depth; i++) {
            panel[offset + i * PANEL] = row[i];
        }
    }
}
