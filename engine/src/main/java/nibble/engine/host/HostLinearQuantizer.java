package nibble.engine.host;

import java.nio.file.Path;
import java.util.List;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Workers;
import nibble.engine.host.fit.HostFit;
import nibble.engine.host.fit.HostPairedMoments;
import nibble.engine.host.quantize.ClipSearch;
import nibble.engine.host.quantize.HostInputStatistics;
import nibble.engine.host.quantize.OutputError;
import nibble.engine.host.quantize.ScaledLinear;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.Clip;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.Fitted;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DenseWeight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Rounding;
import nibble.pack.WeightReader;
import org.jspecify.annotations.Nullable;

/** Computes in fp32 on the heap, with products with C by the backend. Borrows the backend and the workers. */
public final class HostLinearQuantizer implements LinearQuantizer {
    private final String name;
    private final Path file;
    private final QuantizationSpec spec;
    private final Backend backend;
    private final Workers workers;
    private final ScaledLinear original;
    private final OutputError error;

    /**
     * Reads the weights.
     *
     * @param file where they lie, for messages
     * @throws nibble.checkpoint.source.BadCheckpointException if one of them is not finite
     */
    public HostLinearQuantizer(DenseWeight weight, Path file, QuantizationSpec spec, Backend backend, Workers workers) {
        this.name = weight.name();
        this.file = file;
        this.spec = spec;
        this.backend = backend;
        this.workers = workers;
        this.original = new ScaledLinear(
                WeightReader.floats(weight.tensor(), file), weight.outFeatures(), weight.inFeatures(), Basis.ORIGINAL);
        this.error = new OutputError(backend, workers, spec);
    }

    /** Returns the weights in a basis. */
    public ScaledLinear in(Basis basis) {
        return new ScaledLinear(original.weights(), outFeatures(), inFeatures(), basis);
    }

    @Override
    public int outFeatures() {
        return original.outFeatures();
    }

    @Override
    public int inFeatures() {
        return original.inFeatures();
    }

    @Override
    public double[] relativeMagnitudes() {
        int length = spec.columnsPerGroup(inFeatures());
        double[] sums = new double[inFeatures()];
        // A task owns the columns of its group, so that rows are added in one order whatever the threads.
        workers.forEach(inFeatures() / length, group -> addGroup(group * length, length, sums));
        return sums;
    }

    private void addGroup(int first, int length, double[] into) {
        float[] weights = original.weights();
        for (int row = 0; row < outFeatures(); row++) {
            int at = row * inFeatures() + first;
            float largest = 0;
            for (int i = at; i < at + length; i++) {
                largest = Math.max(largest, Math.abs(weights[i]));
            }
            double divisor = largest + 1e-6;
            for (int i = 0; i < length; i++) {
                into[first + i] += Math.abs(weights[at + i]) / divisor;
            }
        }
    }

    @Override
    public double[] errors(Basis basis, float @Nullable [] limits, InputStatistics input) {
        return error.rows(in(basis), limits, of(input).moment());
    }

    @Override
    public double[] losses(List<float @Nullable []> columns, InputStatistics input, Runnable onEach) {
        double[] losses = new double[columns.size()];
        for (int i = 0; i < losses.length; i++) {
            losses[i] = error.total(
                    in(Basis.ofColumns(columns.get(i))), null, of(input).moment());
            onEach.run();
        }
        return losses;
    }

    @Override
    public double outputSize(InputStatistics input) {
        return error.outputSize(original, of(input).moment());
    }

    @Override
    public double weightError(Basis basis, float @Nullable [] limits) {
        return error.weightError(in(basis), limits);
    }

    @Override
    public Clip clip(Basis basis, InputStatistics input) {
        return new ClipSearch(workers, spec)
                .search(in(basis), backend.download(of(input).moment()));
    }

    @Override
    public QuantizedLinear quantize(Basis basis, float @Nullable [] limits) {
        ScaledLinear linear = in(basis);
        float[] scaled = new float[original.weights().length];
        Rounding rounding = new Rounding(file, name, scaled, outFeatures(), inFeatures(), spec, limits);
        workers.forEach(outFeatures(), row -> {
            linear.scaledRow(row, scaled, row * inFeatures());
            rounding.row(row);
        });
        return rounding.result();
    }

    @Override
    public Fitted fit(Basis basis, PairedMoments moments, FitSteps steps) {
        if (moments instanceof HostPairedMoments host) {
            return new HostFit(workers, spec, steps).fit(in(basis), name, file, host);
        }
        throw new IllegalArgumentException(
                "moments of another backend: " + moments.getClass().getSimpleName());
    }

    private static HostInputStatistics of(InputStatistics input) {
        if (input instanceof HostInputStatistics host) {
            return host;
        }
        throw new IllegalArgumentException(
                "statistics of another backend: " + input.getClass().getSimpleName());
    }

    @Override
    public void close() {}
}
