package nibble.engine.host.quantize;

import nibble.engine.backend.Backend;
import nibble.engine.backend.Workers;
import nibble.engine.tensor.Matrix;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * Computes the output error of a linear by the second moments of its input: {@code ‖E X‖² = tr(E C Eᵀ)} with {@code C =
 * X Xᵀ}. Costs one product with C, however many tokens C was made of.
 */
public final class OutputError {
    /** Elements of E made and multiplied at a time: 64 MiB, so that the largest linear needs little memory. */
    private static final int CHUNK_ELEMENTS = 1 << 24;

    private final Backend backend;
    private final Workers workers;
    private final QuantizationSpec spec;

    public OutputError(Backend backend, Workers workers, QuantizationSpec spec) {
        this.backend = backend;
        this.workers = workers;
        this.spec = spec;
    }

    private interface RowWriter {
        void write(int row, float[] into, int offset);
    }

    /** Returns {@code e C eᵀ} of each row e of {@code Ŵ − W}. NaN where a scale does not fit fp16. */
    public double[] rows(ScaledLinear linear, float @Nullable [] limits, Matrix moment) {
        return quadratic(
                linear.outFeatures(),
                linear.inFeatures(),
                moment,
                (row, into, offset) -> linear.errorRow(row, spec, limits, into, offset));
    }

    /** Returns {@code tr(E C Eᵀ)}. */
    public double total(ScaledLinear linear, float @Nullable [] limits, Matrix moment) {
        return sum(rows(linear, limits, moment));
    }

    /** Returns {@code tr(W C Wᵀ)}: the size of the output that errors are relative to. */
    public double outputSize(ScaledLinear linear, Matrix moment) {
        int columns = linear.inFeatures();
        return sum(quadratic(
                linear.outFeatures(),
                columns,
                moment,
                (row, into, offset) -> System.arraycopy(linear.weights(), row * columns, into, offset, columns)));
    }

    /** Returns {@code ‖Ŵ−W‖² / ‖W‖²}. */
    public double weightError(ScaledLinear linear, float @Nullable [] limits) {
        int columns = linear.inFeatures();
        double[] errors = new double[linear.outFeatures()];
        double[] sizes = new double[linear.outFeatures()];
        workers.forEach(linear.outFeatures(), row -> {
            float[] error = new float[columns];
            linear.errorRow(row, spec, limits, error, 0);
            for (int i = 0; i < columns; i++) {
                errors[row] += (double) error[i] * error[i];
                double w = linear.weights()[row * columns + i];
                sizes[row] += w * w;
            }
        });
        double size = sum(sizes);
        return size == 0 ? 0 : sum(errors) / size;
    }

    private double[] quadratic(int rows, int columns, Matrix moment, RowWriter writer) {
        double[] result = new double[rows];
        int chunk = Math.clamp(CHUNK_ELEMENTS / columns, 1, rows);
        for (int first = 0; first < rows; first += chunk) {
            int from = first;
            int count = Math.min(chunk, rows - first);
            float[] e = new float[count * columns];
            workers.forEach(count, i -> writer.write(from + i, e, i * columns));
            float[] product;
            try (Matrix left = backend.uploadSingle(e, count, columns);
                    Matrix out = backend.allocateSingle(count, columns)) {
                // C is symmetric, so E Cᵀ is E C.
                backend.multiplyTransposed(left, moment, out);
                product = backend.download(out);
            }
            workers.forEach(count, i -> {
                double sum = 0;
                for (int at = i * columns; at < (i + 1) * columns; at++) {
                    sum += (double) e[at] * product[at];
                }
                result[from + i] = sum;
            });
        }
        return result;
    }

    static double sum(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum;
    }
}
