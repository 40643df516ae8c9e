package nibble.calibrate;

import java.util.EnumMap;
import java.util.Map;
import nibble.engine.Backend;
import nibble.engine.LinearInput;
import nibble.engine.Matrix;
import nibble.engine.Taps;
import org.jspecify.annotations.Nullable;

/** What the inputs of a layer's linears looked like over all calibration tokens. Owns its matrices. */
final class LayerStatistics implements Taps, AutoCloseable {
    /**
     * Statistics of one input.
     *
     * @param moment {@code C = Σ x xᵀ} [features, features]
     * @param absolute {@code Σ |x|} [features], in double
     */
    private record Sums(Matrix moment, double[] absolute) {}

    private final Backend backend;
    private final Map<LinearInput, Sums> sums = new EnumMap<>(LinearInput.class);
    private long tokens;

    LayerStatistics(Backend backend) {
        this.backend = backend;
    }

    @Override
    public void tap(LinearInput input, Matrix x) {
        Sums into = sums.computeIfAbsent(
                input, _ -> new Sums(backend.allocateSingle(x.columns(), x.columns()), new double[x.columns()]));
        backend.addSecondMoment(x, into.moment);
        float[] values = backend.download(x);
        int columns = x.columns();
        double[] absolute = into.absolute;
        for (int at = 0; at < values.length; at += columns) {
            for (int i = 0; i < columns; i++) {
                absolute[i] += Math.abs(values[at + i]);
            }
        }
        if (input == LinearInput.QKV) {
            tokens += x.rows();
        }
    }

    /** {@code C} of an input; owned by this. */
    Matrix moment(LinearInput input) {
        return of(input).moment;
    }

    /** Mean |x| of each feature of an input. */
    double[] meanAbsolute(LinearInput input) {
        double[] mean = of(input).absolute.clone();
        for (int i = 0; i < mean.length; i++) {
            mean[i] /= tokens;
        }
        return mean;
    }

    private Sums of(LinearInput input) {
        @Nullable Sums found = sums.get(input);
        if (found == null) {
            throw new IllegalStateException("no statistics of " + input + ": the layer did not run");
        }
        return found;
    }

    @Override
    public void close() {
        sums.values().forEach(sum -> sum.moment.close());
    }
}
