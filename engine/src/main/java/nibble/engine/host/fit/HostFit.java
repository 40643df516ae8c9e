package nibble.engine.host.fit;

import java.nio.file.Path;
import nibble.engine.backend.Workers;
import nibble.engine.host.quantize.ScaledLinear;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.Fitted;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Rounding;

/** Fits a linear on the host: the specification of {@link nibble.engine.quantize.LinearQuantizer#fit}. */
public final class HostFit {
    private final Workers workers;
    private final QuantizationSpec spec;
    private final FitSteps steps;

    public HostFit(Workers workers, QuantizationSpec spec, FitSteps steps) {
        this.workers = workers;
        this.spec = spec;
        this.steps = steps;
    }

    /**
     * Fits codes and scales.
     *
     * @param linear the original weights in a basis without row divisors
     * @param file where they lie, for messages
     * @throws nibble.checkpoint.source.BadCheckpointException if a scale does not fit fp16
     */
    public Fitted fit(ScaledLinear linear, String name, Path file, HostPairedMoments moments) {
        Basis basis = linear.basis();
        int out = linear.outFeatures();
        int n = linear.inFeatures();
        FitInput input = moments.in(basis.columns(), spec);
        float[] target = new float[Math.multiplyExact(out, n)];
        workers.forEach(out, row -> linear.scaledRow(row, target, row * n));
        QuantizedLinear rounded = Rounding.round(file, name, target, out, n, spec, null);
        double share = steps.propagate()
                ? new Propagation(workers, moments, input).move(linear.weights(), target, out, basis.columns())
                : 0;
        RangeSearch ranges = new RangeSearch(input, spec, steps.ranges());
        QuantizedLinear result = QuantizedLinear.blank(out, n, spec);
        double[] losses = new double[out];
        double[] roundedLosses = new double[out];
        int[] sweeps = new int[out];
        workers.forEach((out + RowTile.ROWS - 1) / RowTile.ROWS, task -> {
            int first = task * RowTile.ROWS;
            RowTile tile = new RowTile(input, Math.min(RowTile.ROWS, out - first));
            read(rounded, linear, first, tile);
            System.arraycopy(tile.losses(), 0, roundedLosses, first, tile.rows);
            for (int row = 0; row < tile.rows; row++) {
                System.arraycopy(target, (first + row) * n, tile.target, row * tile.stride, n);
            }
            int swept = run(tile, ranges);
            for (int row = 0; row < tile.rows; row++) {
                sweeps[first + row] = swept;
            }
            System.arraycopy(tile.losses(), 0, losses, first, tile.rows);
            write(tile, first, result);
        });
        double loss = 0;
        double roundedLoss = 0;
        double swept = 0;
        for (int row = 0; row < out; row++) {
            loss += losses[row];
            roundedLoss += roundedLosses[row];
            swept += sweeps[row];
        }
        double narrowed = 0;
        double range = 0;
        int slots = result.scales().length;
        for (int i = 0; i < slots; i++) {
            double ratio = Float.float16ToFloat(result.scales()[i]) / Float.float16ToFloat(rounded.scales()[i]);
            narrowed += ratio < 1 ? 1.0 / slots : 0;
            range += Math.min(1, ratio) / slots;
        }
        double error = weightError(linear, result);
        return new Fitted(result, loss, roundedLoss, error, narrowed, range, share, swept / out);
    }

    private double weightError(ScaledLinear linear, QuantizedLinear result) {
        int n = linear.inFeatures();
        double[] errors = new double[linear.outFeatures()];
        double[] sizes = new double[linear.outFeatures()];
        workers.forEach(linear.outFeatures(), row -> {
            float[] made = new float[n];
            float[] was = new float[n];
            result.dequantize(row, made, 0);
            linear.scaledRow(row, was, 0);
            for (int i = 0; i < n; i++) {
                errors[row] += (double) (made[i] - was[i]) * (made[i] - was[i]);
                sizes[row] += (double) was[i] * was[i];
            }
        });
        double size = sum(sizes);
        return size == 0 ? 0 : sum(errors) / size;
    }

    /** @return sweeps of coordinate descent */
    private int run(RowTile tile, RangeSearch ranges) {
        ranges.run(tile);
        if (steps.compensate()) {
            CompensatedRounding.run(tile);
        } else {
            tile.round();
        }
        CoordinateDescent.run(tile, steps.sweeps());
        int sweeps = steps.sweeps();
        double before = sum(tile.losses());
        for (int round = 0; round < steps.refits(); round++) {
            ScaleRefit.run(tile);
            CoordinateDescent.run(tile, 1);
            sweeps++;
            double after = sum(tile.losses());
            if (after > before * (1 - FitSteps.WORTHWHILE)) {
                break;
            }
            before = after;
        }
        return sweeps;
    }

    /** Plain rounding of some rows, and what it was made of. */
    private static void read(QuantizedLinear rounded, ScaledLinear linear, int first, RowTile tile) {
        for (int row = 0; row < tile.rows; row++) {
            linear.scaledRow(first + row, tile.target, row * tile.stride);
            for (int column = 0; column < tile.input.columns(); column++) {
                tile.codes[row * tile.stride + column] = rounded.code(first + row, column);
            }
            for (int group = 0; group < tile.input.groups(); group++) {
                int from = (first + row) * tile.input.groups() + group;
                tile.scales[row * tile.input.groups() + group] = Float.float16ToFloat(rounded.scales()[from]);
                tile.zeros[row * tile.input.groups() + group] = rounded.zero(from);
            }
        }
    }

    private static void write(RowTile tile, int first, QuantizedLinear into) {
        for (int row = 0; row < tile.rows; row++) {
            for (int column = 0; column < into.inFeatures(); column += 2) {
                int low = (int) tile.codes[row * tile.stride + column];
                int high = (int) tile.codes[row * tile.stride + column + 1];
                into.setCodes(first + row, column, low, high);
            }
            for (int group = 0; group < into.groups(); group++) {
                int from = row * into.groups() + group;
                int to = (first + row) * into.groups() + group;
                into.scales()[to] = Float.floatToFloat16(tile.scales[from]);
                into.zeros()[to] = (byte) tile.zeros[from];
            }
        }
    }

    private static double sum(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum;
    }
}
