package nibble.engine.host.fit;

import java.util.stream.IntStream;
import nibble.engine.backend.Workers;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * C of an input, a mean over tokens in the basis that its linears are rounded in, ready for the steps of a fit.
 *
 * @param columns features n of the input
 * @param group columns of a group
 * @param most the largest code
 * @param moment C [n, n]
 * @param order columns in the order of their activation, the largest first
 * @param factor U [n, n], upper, of the damped C in that order: {@code (C + λ diag C)⁻¹ = Uᵀ U}
 */
record FitInput(int columns, int group, int most, PanelMatrix moment, int[] order, PanelMatrix factor) {
    /** Columns that are rounded, or moved, before the others are told of it. */
    static final int BLOCK = 128;

    /**
     * Brings sums over tokens into a basis and factorizes them.
     *
     * @param sums C as a sum over tokens [n, n]
     * @param basis factors of the linears' columns, which divide the input; null for ones
     */
    static FitInput of(float[] sums, long tokens, float @Nullable [] basis, QuantizationSpec spec, Workers workers) {
        int n = (int) Math.round(Math.sqrt(sums.length));
        double[] scale = new double[n];
        for (int i = 0; i < n; i++) {
            scale[i] = basis == null ? 1 : 1.0 / basis[i];
        }
        PanelMatrix moment = PanelMatrix.of(
                workers, n, n, (row, column) -> (float) (sums[row * n + column] * scale[row] * scale[column] / tokens));
        int[] order = IntStream.range(0, n)
                .boxed()
                .sorted((a, b) -> Float.compare(moment.at(b, b), moment.at(a, a)))
                .mapToInt(i -> i)
                .toArray();
        PanelMatrix factor = DampedFactor.of(moment, order, workers);
        return new FitInput(n, spec.columnsPerGroup(n), spec.maxCode(), moment, order, factor);
    }

    /** Floats from one row to the next in the arrays of a fit. */
    int stride() {
        return moment.stride();
    }

    int groups() {
        return columns / group;
    }
}
