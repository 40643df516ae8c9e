package nibble.engine.host.natives;

import static nibble.engine.host.natives.NativeFunction.floats;

import java.util.Objects;
import nibble.engine.host.vector.PanelKernel;

/**
 * The library's kernel of panels. It gives the bits of the Vector API's; it needs no compiler before it is fast, and
 * its loops keep their sums in registers.
 */
final class NativePanels implements PanelKernel {
    private static final NativeFunction PANEL = NativeFunction.of("panel");
    private static final NativeFunction SOFTEN = NativeFunction.of("soften");

    private final long set;

    NativePanels(int set) {
        this.set = set;
    }

    @Override
    public void multiply(int rows, Rows a, float[] b, int at, int depth, Rows c, boolean accumulate) {
        if (rows <= 0) {
            return;
        }
        require(a, rows, depth);
        require(c, rows, COLUMNS);
        Objects.checkFromIndexSize(at, (long) depth * COLUMNS, b.length);
        PANEL.call(
                new long[] {set, rows, depth, a.stride(), c.stride(), accumulate ? 1L : 0L},
                floats(a.values(), a.offset()),
                floats(b, at),
                floats(c.values(), c.offset()));
    }

    private static void require(Rows of, int rows, int columns) {
        if (of.stride() < 0) {
            throw new IllegalArgumentException("rows " + of.stride() + " apart");
        }
        Objects.checkFromIndexSize(of.offset(), (rows - 1L) * of.stride() + columns, of.values().length);
    }

    @Override
    public void soften(float[] scores, int at, int n, float[] state, int r, float[] sums, int sumsAt, int width) {
        Objects.checkFromIndexSize(at, n, scores.length);
        Objects.checkFromIndexSize(2 * r, 2, state.length);
        Objects.checkFromIndexSize(sumsAt, width, sums.length);
        if (n % SCORES != 0 || width % 16 != 0) {
            throw new IllegalArgumentException(n + " scores and " + width + " sums, multiples of 16 expected");
        }
        SOFTEN.call(new long[] {set, n, width}, floats(scores, at), floats(state, 2 * r), floats(sums, sumsAt));
    }
}
