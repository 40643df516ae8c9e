package nibble.engine.host.vector;

import static nibble.engine.host.vector.MicroKernel.DEPTH;
import static nibble.engine.host.vector.MicroKernel.PANEL;

import nibble.engine.backend.Workers;

/**
 * Computes {@code moment[m, k] += y[t, m]ᵀ x[t, k]}. Tokens go by 256 at a time, each a sum of its own, as in {@link
 * SecondMoment}.
 */
public final class CrossMoment {
    private CrossMoment() {}

    /** Turns y [tokens, m] into [m, tokens]. */
    public static void transpose(Workers workers, float[] y, int tokens, int m, float[] into) {
        workers.forEach((m + PANEL - 1) / PANEL, p -> SecondMoment.transpose(y, 0, tokens, m, p * PANEL, into));
    }

    public static void add(
            Workers workers, PanelKernel kernel, float[] y, int m, float[] x, int k, int tokens, float[] moment) {
        int panels = (k + PANEL - 1) / PANEL;
        int rowPanels = (m + PANEL - 1) / PANEL;
        float[] transposed = new float[m * Math.min(DEPTH, tokens)];
        for (int from = 0; from < tokens; from += DEPTH) {
            int first = from;
            int depth = Math.min(DEPTH, tokens - from);
            workers.forEach(rowPanels, p -> SecondMoment.transpose(y, first, depth, m, p * PANEL, transposed));
            workers.forEach(
                    panels, p -> SecondMoment.addPanel(kernel, x, first, depth, k, p * PANEL, transposed, m, moment));
        }
    }
}
