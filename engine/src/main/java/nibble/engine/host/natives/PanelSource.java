package nibble.engine.host.natives;

import nibble.engine.host.vector.RowSource;

/** Reads some rows of a matrix side by side, as {@link TileGemm} multiplies by them; safe for several threads. */
@FunctionalInterface
public interface PanelSource {
    /** Rows that are turned at a time: a cache line of what is written. */
    int TURNED = 16;

    /**
     * Reads columns {@code from .. from + depth} of rows {@code first .. first + count} into {@code panel[count,
     * depth]}.
     *
     * @param count at most {@link Tiles#PANEL}
     */
    void read(int first, int count, int from, int depth, float[] panel);

    /** Returns the rows of a matrix. */
    static PanelSource rows(RowSource matrix) {
        return (first, count, from, depth, panel) -> {
            for (int i = 0; i < count; i++) {
                matrix.read(first + i, from, depth, panel, i * depth);
            }
        };
    }

    /** Returns the columns of a matrix as rows. */
    static PanelSource columns(RowSource matrix) {
        return (first, count, from, depth, panel) -> {
            float[] some = new float[TURNED * count];
            for (int d = 0; d < depth; d += TURNED) {
                int rows = Math.min(TURNED, depth - d);
                for (int i = 0; i < rows; i++) {
                    matrix.read(from + d + i, first, count, some, i * count);
                }
                for (int column = 0; column < count; column++) {
                    int to = column * depth + d;
                    for (int i = 0; i < rows; i++) {
                        panel[to + i] = some[i * count + column];
                    }
                }
            }
        };
    }
}
