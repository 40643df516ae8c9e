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

/** Sums moments by a backend of the host. Borrows backend and workers. */
public final class HostPairedMoments implements PairedMoments {
    private final Backend backend;
    private final Workers workers;
    private final HostInputStatistics input;
    /** N of each half; transposed, Σ x_q lᵀ, where it is to be multiplied by weights. */
    private final List<Matrix> lacks = new ArrayList<>();

    private final boolean behind;
    private final long[] rows = new long[2];
    private @Nullable FitInput prepared;
    private float @Nullable [] preparedColumns;

    public HostPairedMoments(Backend backend, Workers workers, int columns, int residual) {
        this.backend = backend;
        this.workers = workers;
        this.input = new HostInputStatistics(backend, columns);
        this.behind = residual > 0;
        for (int half = 0; half < 2; half++) {
            lacks.add(backend.allocateSingle(behind ? residual : columns, columns));
        }
    }

    @Override
    public InputStatistics input() {
        return input;
    }

    @Override
    public void add(Matrix quantized, Matrix lack, int half) {
        input.add(quantized);
        if (behind) {
            backend.addCrossMoment(lack, quantized, lacks.get(half));
        } else {
            backend.addCrossMoment(quantized, lack, lacks.get(half));
        }
        rows[half] += quantized.rows();
    }

    @Override
    public void endPart() {
        input.endPart();
    }

    /**
     * What outputs lack on a half of the text, {@code Σ (what they lack) x_qᵀ} [out, columns].
     *
     * @param weights W [out, columns] of the original model
     */
    float[] outputLack(float[] weights, int out, int half) {
        if (behind) {
            return backend.download(lacks.get(half));
        }
        try (Matrix there = backend.uploadSingle(weights, out, input.columns());
                Matrix product = backend.allocateSingle(out, input.columns())) {
            backend.multiplyTransposed(there, lacks.get(half), product);
            return backend.download(product);
        }
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
        lacks.forEach(Matrix::close);
    }
}
