package nibble.engine.host.fit;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Workers;
import nibble.engine.host.quantize.HostInputStatistics;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.Matrix;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/** Moments summed by a backend of the host. Borrows backend and workers. */
public final class HostPairedMoments implements PairedMoments {
    private final Backend backend;
    private final Workers workers;
    private final HostInputStatistics input;
    /** Σ x_q (x_f − x_q)ᵀ, so transposed, of each half. */
    private final List<Matrix> differences = new ArrayList<>();

    private final List<Matrix> residuals = new ArrayList<>();
    private final long[] rows = new long[2];
    private @Nullable FitInput prepared;
    private float @Nullable [] preparedColumns;

    public HostPairedMoments(Backend backend, Workers workers, int columns, int residual) {
        this.backend = backend;
        this.workers = workers;
        this.input = new HostInputStatistics(backend, columns);
        for (int half = 0; half < 2; half++) {
            differences.add(backend.allocateSingle(columns, columns));
            if (residual > 0) {
                residuals.add(backend.allocateSingle(residual, columns));
            }
        }
    }

    @Override
    public InputStatistics input() {
        return input;
    }

    @Override
    public void add(Matrix quantized, Matrix original, @Nullable Matrix residual, int half) {
        input.add(quantized);
        try (Matrix difference = backend.allocate(quantized.rows(), quantized.columns())) {
            backend.subtract(original, quantized, difference);
            backend.addCrossMoment(quantized, difference, differences.get(half));
        }
        if (residual != null) {
            backend.addCrossMoment(residual, quantized, residuals.get(half));
        }
        rows[half] += quantized.rows();
    }

    /** Σ x_q (x_f − x_q)ᵀ of a half; owned by this. */
    Matrix difference(int half) {
        return differences.get(half);
    }

    /** Σ (h_f − h_q) x_qᵀ of a half, or null where it does not count; owned by this. */
    @Nullable
    Matrix residual(int half) {
        return residuals.isEmpty() ? null : residuals.get(half);
    }

    /** Tokens of a half. */
    long rows(int half) {
        return rows[half];
    }

    /**
     * C in a basis, with its factor; made once for all linears of an input.
     *
     * @param columns factors of the columns, or null for ones
     */
    FitInput in(float @Nullable [] columns, QuantizationSpec spec) {
        if (prepared == null || preparedColumns != columns) {
            prepared = FitInput.of(backend.download(input.moment()), input.rows(), columns, spec, workers);
            preparedColumns = columns;
        }
        return prepared;
    }

    @Override
    public void close() {
        input.close();
        differences.forEach(Matrix::close);
        residuals.forEach(Matrix::close);
    }
}
