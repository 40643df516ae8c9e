package nibble.engine.cuda.quantize;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.Cublas;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.quantize.CudaInputStatistics.Correlations;
import nibble.engine.quantize.Basis;
import nibble.engine.tensor.DenseWeight;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * Errors of a linear that is rounded on trial: {@code quantize.cu} makes E in fp16, weighted by the deviations of the
 * inputs, and cuBLAS multiplies it by their correlations.
 */
abstract class TrialErrors extends LinearOnCard {
    TrialErrors(
            CudaResources owner,
            QuantizationScratch scratch,
            CudaWeight.Dense weight,
            DenseWeight original,
            Path file,
            QuantizationSpec spec) {
        super(owner, scratch, weight, original, file, spec);
    }

    TrialErrors(LinearOnCard whole, int firstRow, int rows) {
        super(whole, firstRow, rows);
    }

    public double[] errors(Basis basis, float @Nullable [] limits, Correlations c) {
        float sigma = errorScale(c);
        try (Vector columns = bring(basis.columns());
                Vector divisors = bring(basis.rows());
                Vector clip = bring(limits);
                DeviceMemory.Buffer sums = owner.memory().allocate(8L * rows, "errors of rows")) {
            quadratic(
                    c,
                    sums,
                    0,
                    (first, count, to) -> trial(
                            first, count, columns.address(), divisors.address(), clip.address(), 1f, c, sigma, to));
            return divided(owner.transfers().doubles(sums, rows), sigma);
        }
    }

    public double[] losses(List<float @Nullable []> columns, Correlations c, Runnable onEach) {
        float sigma = errorScale(c);
        int candidates = columns.size();
        double[] losses = new double[candidates];
        try (DeviceMemory.Buffer all = owner.memory().allocate(4L * candidates * in, "scales of candidates");
                DeviceMemory.Buffer sums = owner.memory().allocate(8L * candidates * rows, "errors of rows")) {
            for (int i = 0; i < candidates; i++) {
                float[] factors = columns.get(i);
                if (factors != null) {
                    owner.transfers().bring(MemorySegment.ofArray(factors), all, 4L * i * in);
                }
            }
            // All candidates are put into the stream before the first is waited for.
            for (int i = 0; i < candidates; i++) {
                long factors = columns.get(i) == null ? 0 : all.address() + 4L * i * in;
                quadratic(
                        c,
                        sums,
                        (long) i * rows,
                        (first, count, to) -> trial(first, count, factors, 0, 0, 1f, c, sigma, to));
            }
            double[] found = owner.transfers().doubles(sums, Math.multiplyExact(candidates, rows));
            for (int i = 0; i < candidates; i++) {
                double sum = 0;
                for (int row = 0; row < rows; row++) {
                    sum += found[i * rows + row];
                }
                losses[i] = sum / sigma / sigma;
                onEach.run();
            }
        }
        return losses;
    }

    /** Returns {@code w C wᵀ} of each row w. */
    public double[] outputSizes(Correlations c) {
        float sigma = powerOfTwo(0x1p14, (double) largest * c.largest());
        try (DeviceMemory.Buffer sums = owner.memory().allocate(8L * rows, "errors of rows")) {
            quadratic(
                    c,
                    sums,
                    0,
                    (first, count, to) -> kernel("weighted")
                            .launch(
                                    owner.stream(),
                                    new Kernel.Grid((in + THREADS - 1) / THREADS, count, 1),
                                    THREADS,
                                    0,
                                    weightRow(first),
                                    in,
                                    c.deviations().address(),
                                    sigma,
                                    to));
            return divided(owner.transfers().doubles(sums, rows), sigma);
        }
    }

    interface RowWriter {
        /** Puts rows {@code first .. first + count} of fp16 [rows, in] into the stream, to an address. */
        void write(int first, int count, long to);
    }

    /** {@code sums[from + row] = e C eᵀ} for each row e that {@code writer} makes. */
    void quadratic(Correlations c, DeviceMemory.Buffer sums, long from, RowWriter writer) {
        int strip = Math.min(CudaInputStatistics.STRIP, in);
        for (int first = 0; first < rows; first += chunk) {
            int count = Math.min(chunk, rows - first);
            long e = scratch.errors(2L * count * in);
            long p = scratch.products(4L * count * strip);
            writer.write(first, count, e);
            for (int column = 0; column < in; column += strip) {
                int width = Math.min(strip, in - column);
                owner.cublas()
                        .multiplyTransposed(
                                count,
                                width,
                                column + width,
                                e,
                                Cublas.Type.F16,
                                in,
                                c.matrix().address() + 2L * column * in,
                                in,
                                p,
                                Cublas.Type.F32,
                                width,
                                false);
                kernel("row_products")
                        .launch(
                                owner.stream(),
                                Kernel.Grid.of((count + WARPS - 1) / WARPS),
                                THREADS,
                                0,
                                p,
                                e,
                                count,
                                in,
                                column,
                                width,
                                sums.address() + 8 * (from + first),
                                column == 0 ? 0 : 1);
            }
        }
    }

    void trial(
            int first,
            int count,
            long columns,
            long divisors,
            long limits,
            float share,
            Correlations c,
            float sigma,
            long to) {
        kernel("trial_errors")
                .launch(
                        owner.stream(),
                        overGroups(count),
                        THREADS,
                        0,
                        weightRow(first),
                        count,
                        in,
                        groups,
                        columns,
                        divisors == 0 ? 0L : divisors + 4L * first,
                        limits == 0 ? 0L : limits + 4L * first * groups,
                        share,
                        c.deviations().address(),
                        sigma,
                        to);
    }

    /** Sums the error of pieces in the order of their rows. */
    public static double weightError(List<double[]> pieces) {
        double error = 0;
        double size = 0;
        for (double[] piece : pieces) {
            int rows = piece.length / 2;
            for (int row = 0; row < rows; row++) {
                error += piece[row];
                size += piece[rows + row];
            }
        }
        return size == 0 ? 0 : error / size;
    }

    /** Returns {@code ‖e‖²} of each row, then {@code ‖w‖²} of each row. */
    public double[] weightErrors(Basis basis, float @Nullable [] limits) {
        try (Vector columns = bring(basis.columns());
                Vector divisors = bring(basis.rows());
                Vector clip = bring(limits);
                DeviceMemory.Buffer sums = owner.memory().allocate(16L * rows, "errors of rows")) {
            kernel("weight_errors")
                    .launch(
                            owner.stream(),
                            Kernel.Grid.of(rows),
                            THREADS,
                            0,
                            weight,
                            in,
                            groups,
                            columns.address(),
                            divisors.address(),
                            clip.address(),
                            sums.address(),
                            sums.address() + 8L * rows);
            return owner.transfers().doubles(sums, 2 * rows);
        }
    }

    /** Brings weighted errors to about 2^10: room for those of 64 times the size, and for those of a millionth. */
    float errorScale(Correlations c) {
        return powerOfTwo(0x1p10, (double) largest / spec.maxCode() * c.largest());
    }

    /** The power of two that takes {@code size} to between half of {@code target} and it. */
    static float powerOfTwo(double target, double size) {
        return size > 0 ? Math.scalb(1f, Math.clamp(Math.getExponent(target / size), -100, 100)) : 1f;
    }

    static double[] divided(double[] sums, float sigma) {
        for (int i = 0; i < sums.length; i++) {
            sums[i] = sums[i] / sigma / sigma;
        }
        return sums;
    }
}
