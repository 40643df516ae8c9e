package nibble.engine.cuda.quantize;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.backend.DenseWeight;
import nibble.engine.backend.WeightRows;
import nibble.engine.backend.Workers;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.cuda.CudaWeight;
import nibble.engine.cuda.driver.Cublas;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.quantize.CudaInputStatistics.Correlations;
import nibble.engine.host.HostLinearQuantizer;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.quantize.ScaledLinear;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.Clip;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Rounding;
import org.jspecify.annotations.Nullable;

/**
 * Quantizes a linear whose fp16 weights lie on the card: rounding and errors by {@code quantize.cu}, products with C by cuBLAS.
 * Codes, zeros and scales are those that the host makes of the same basis and limits, bit for bit; errors differ by the fp16
 * of the products. Borrows the weights; owns its buffers.
 */
public final class CudaLinearQuantizer implements LinearQuantizer {
    private static final int THREADS = 256;
    private static final int ROWS_PER_WARP = 4;
    private static final int WARPS = 8;
    private static final int CHUNK_ROWS = 256;

    private final CudaBackend owner;
    private final long weight;
    private final DenseWeight original;
    private final Path file;
    private final QuantizationSpec spec;
    private final int firstRow;
    private final int rows;
    private final int in;
    private final int groups;
    private final int chunk;
    private final Map<String, Integer> constants;
    private final DeviceMemory.Buffer maxima;
    private final float largest;

    /** A vector that may be absent: address 0 then. */
    private record Vector(DeviceMemory.@Nullable Buffer buffer) implements AutoCloseable {
        long address() {
            return buffer == null ? 0 : buffer.address();
        }

        @Override
        public void close() {
            if (buffer != null) {
                buffer.close();
            }
        }
    }

    /** @throws nibble.checkpoint.source.BadCheckpointException if a weight is not finite */
    public CudaLinearQuantizer(
            CudaBackend owner, CudaWeight.Dense weight, DenseWeight original, Path file, QuantizationSpec spec) {
        this.owner = owner;
        this.weight = weight.address();
        this.original = original;
        this.file = file;
        this.spec = spec;
        this.firstRow = 0;
        this.rows = weight.outFeatures();
        this.in = weight.inFeatures();
        this.groups = spec.groups(in);
        this.chunk = QuantizationScratch.rows(rows);
        this.constants =
                Map.of("GROUP", groups == 1 && spec.groupSize() == QuantizationSpec.WHOLE_ROW ? 0 : in / groups);
        this.maxima = owner.memory().allocate(4L * rows * groups, "largest weights of groups");
        try {
            this.largest = findMaxima();
        } catch (RuntimeException e) {
            maxima.close();
            throw e;
        }
    }

    /** Some rows of another; borrows all it has. */
    private CudaLinearQuantizer(CudaLinearQuantizer whole, int firstRow, int rows) {
        this.owner = whole.owner;
        this.weight = whole.weightRow(firstRow);
        this.original = whole.original;
        this.file = whole.file;
        this.spec = whole.spec;
        this.firstRow = firstRow;
        this.rows = rows;
        this.in = whole.in;
        this.groups = whole.groups;
        this.chunk = whole.chunk;
        this.constants = whole.constants;
        this.maxima = whole.maxima;
        this.largest = whole.largest;
    }

    /**
     * Some rows alone, judged and rounded as in the whole to the bit. Needs no closing.
     *
     * @param first a multiple of {@link QuantizationScratch#rows}
     */
    CudaLinearQuantizer piece(int first, int count) {
        return new CudaLinearQuantizer(this, first, count);
    }

    private float findMaxima() {
        try (DeviceMemory.Buffer found = owner.memory().allocate(8, "largest weights of groups")) {
            owner.transfers().bring(MemorySegment.ofArray(new int[] {0, 0}), found);
            overGroups(
                    "group_maxima", weight, rows, in, groups, maxima.address(), found.address(), found.address() + 4);
            int[] values = new int[2];
            owner.transfers().fetch(found, 0, MemorySegment.ofArray(values));
            if (values[1] != 0) {
                onHost().close();
                throw new IllegalStateException(original.name() + ": finite in the file, not on the card");
            }
            return Float.intBitsToFloat(values[0]);
        }
    }

    /** The same linear on the host, which says exactly what is wrong with its weights. */
    private HostLinearQuantizer onHost() {
        return new HostLinearQuantizer(original, file, spec, new ReferenceBackend(), new Workers(1));
    }

    @Override
    public int outFeatures() {
        return rows;
    }

    @Override
    public int inFeatures() {
        return in;
    }

    @Override
    public double[] relativeMagnitudes() {
        int chunks = (rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
        int blocks = (in + THREADS - 1) / THREADS;
        try (DeviceMemory.Buffer parts = owner.memory().allocate(8L * chunks * in, "sums of |w|");
                DeviceMemory.Buffer sums = owner.memory().allocate(8L * in, "sums of |w|")) {
            kernel("relative_magnitudes")
                    .launch(
                            owner.stream(),
                            new Kernel.Grid(blocks, chunks, 1),
                            THREADS,
                            0,
                            weight,
                            rows,
                            in,
                            groups,
                            maxima.address(),
                            CHUNK_ROWS,
                            parts.address());
            owner.kernels()
                    .kernel("moments.cu", "add_parts", Map.of("STRIP", CudaInputStatistics.STRIP))
                    .launch(
                            owner.stream(),
                            Kernel.Grid.of(blocks),
                            THREADS,
                            0,
                            parts.address(),
                            chunks,
                            in,
                            sums.address(),
                            0);
            return owner.transfers().doubles(sums, in);
        }
    }

    @Override
    public double[] errors(Basis basis, float @Nullable [] limits, InputStatistics input) {
        return errors(basis, limits, of(input).correlations());
    }

    double[] errors(Basis basis, float @Nullable [] limits, Correlations c) {
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

    @Override
    public double[] losses(List<float @Nullable []> columns, InputStatistics input, Runnable onEach) {
        return losses(columns, of(input).correlations(), onEach);
    }

    double[] losses(List<float @Nullable []> columns, Correlations c, Runnable onEach) {
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

    @Override
    public double outputSize(InputStatistics input) {
        return Arrays.stream(outputSizes(of(input).correlations())).sum();
    }

    /** {@code w C wᵀ} of each row w. */
    double[] outputSizes(Correlations c) {
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

    private interface RowWriter {
        /** Puts rows {@code first .. first + count} of fp16 [rows, in] into the stream, to an address. */
        void write(int first, int count, long to);
    }

    /** {@code sums[from + row] = e C eᵀ} for each row e that {@code writer} makes. */
    private void quadratic(Correlations c, DeviceMemory.Buffer sums, long from, RowWriter writer) {
        QuantizationScratch scratch = owner.quantizationScratch();
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
                                false,
                                Cublas.Compute.FP32);
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

    private void trial(
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

    @Override
    public double weightError(Basis basis, float @Nullable [] limits) {
        return weightError(List.of(weightErrors(basis, limits)));
    }

    /** Of pieces in the order of their rows. */
    static double weightError(List<double[]> pieces) {
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

    /** {@code ‖e‖²} of each row, then {@code ‖w‖²} of each row. */
    double[] weightErrors(Basis basis, float @Nullable [] limits) {
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

    @Override
    public Clip clip(Basis basis, InputStatistics input) {
        return clip(basis, of(input).correlations());
    }

    Clip clip(Basis basis, Correlations c) {
        float sigma = errorScale(c);
        int slots = rows * groups;
        try (Vector columns = bring(basis.columns());
                Vector divisors = bring(basis.rows());
                DeviceMemory.Buffer losses = owner.memory().allocate(8L * slots, "losses of clips");
                DeviceMemory.Buffer least = owner.memory().allocate(8L * slots, "losses of clips");
                DeviceMemory.Buffer steps = owner.memory().allocate(slots, "clips");
                DeviceMemory.Buffer limits = owner.memory().allocate(4L * slots, "clips")) {
            for (int step = 0; step < Clip.STEPS; step++) {
                float share = Clip.share(step);
                RowWriter writer = (first, count, to) ->
                        trial(first, count, columns.address(), divisors.address(), 0, share, c, sigma, to);
                if (groups == 1) {
                    quadratic(c, losses, 0, writer);
                } else {
                    ofGroups(c, losses, writer);
                }
                kernel("choose")
                        .launch(
                                owner.stream(),
                                Kernel.Grid.of((slots + THREADS - 1) / THREADS),
                                THREADS,
                                0,
                                losses.address(),
                                least.address(),
                                steps.address(),
                                step,
                                slots);
            }
            overGroups(
                    "clip_limits",
                    weight,
                    rows,
                    in,
                    groups,
                    columns.address(),
                    divisors.address(),
                    steps.address(),
                    Clip.SHRINK,
                    limits.address());
            byte[] chosen = owner.transfers().bytes(steps, slots);
            float[] shares = new float[slots];
            for (int i = 0; i < slots; i++) {
                shares[i] = Clip.share(chosen[i]);
            }
            return new Clip(owner.transfers().floats(limits, slots), shares);
        }
    }

    /** {@code losses[row, group] = e C_gg eᵀ} of the groups alone. */
    private void ofGroups(Correlations c, DeviceMemory.Buffer losses, RowWriter writer) {
        QuantizationScratch scratch = owner.quantizationScratch();
        int length = in / groups;
        int most = QuantizationScratch.wholeRows(in);
        for (int first = 0, count; first < rows; first += count) {
            // Never across the end of a chunk, where another card's rows may begin.
            count = Math.min(most, Math.min(rows - first, chunk - first % chunk));
            long e = scratch.errors(2L * count * in);
            long p = scratch.products(4L * count * in);
            writer.write(first, count, e);
            owner.cublas()
                    .multiplyTransposed(
                            groups,
                            count,
                            length,
                            length,
                            e,
                            in,
                            length,
                            c.matrix().address(),
                            in,
                            (long) length * (in + 1),
                            p,
                            in,
                            length);
            kernel("group_products")
                    .launch(
                            owner.stream(),
                            overGroups(count),
                            THREADS,
                            0,
                            p,
                            e,
                            count,
                            in,
                            groups,
                            losses.address() + 8L * first * groups);
        }
    }

    @Override
    public QuantizedLinear quantize(Basis basis, float @Nullable [] limits) {
        QuantizedLinear rounded = blank();
        quantizeInto(basis, limits, rounded);
        return rounded;
    }

    QuantizedLinear blank() {
        return QuantizedLinear.blank(rows, in, spec);
    }

    /** Rounds these rows and puts them to their place among the rows of the whole. */
    void quantizeInto(Basis basis, float @Nullable [] limits, QuantizedLinear whole) {
        int slots = rows * groups;
        long codeBytes = (long) rows * in / 2;
        try (Vector columns = bring(basis.columns());
                Vector divisors = bring(basis.rows());
                Vector clip = bring(limits);
                DeviceMemory.Buffer codes = owner.memory().allocate(codeBytes, "codes");
                DeviceMemory.Buffer zeros = owner.memory().allocate(slots, "zeros");
                DeviceMemory.Buffer scales = owner.memory().allocate(2L * slots, "scales");
                DeviceMemory.Buffer bad = owner.memory().allocate(4, "the first bad row")) {
            owner.transfers().bring(MemorySegment.ofArray(new int[] {Integer.MAX_VALUE}), bad);
            overGroups(
                    "round_off",
                    weight,
                    rows,
                    in,
                    groups,
                    columns.address(),
                    divisors.address(),
                    clip.address(),
                    codes.address(),
                    zeros.address(),
                    scales.address(),
                    bad.address());
            int[] found = new int[1];
            owner.transfers().fetch(bad, 0, MemorySegment.ofArray(found));
            if (found[0] != Integer.MAX_VALUE) {
                throw unfit(found[0], basis, limits);
            }
            fetch(codes, whole.codes(), (long) firstRow * in / 2, codeBytes);
            fetch(zeros, whole.zeros(), (long) firstRow * groups, slots);
            MemorySegment halves = MemorySegment.ofArray(whole.scales()).asSlice(2L * firstRow * groups, 2L * slots);
            owner.transfers().fetch(scales, 0, halves);
        }
    }

    private void fetch(DeviceMemory.Buffer from, byte[] to, long offset, long bytes) {
        owner.transfers().fetch(from, 0, MemorySegment.ofArray(to).asSlice(offset, bytes));
    }

    /** What the host says of a row whose scales do not fit. */
    private BadCheckpointException unfit(int row, Basis basis, float @Nullable [] limits) {
        float[] rowLimits = limits == null ? null : Arrays.copyOfRange(limits, row * groups, (row + 1) * groups);
        float[] divisors = basis.rows();
        float[] divisor = divisors == null ? null : new float[] {divisors[row]};
        float[] original = new float[in];
        WeightRows.read(this.original, firstRow + row, 0, in, original, 0);
        float[] scaled = new float[in];
        new ScaledLinear(original, 1, in, new Basis(divisor, basis.columns())).scaledRow(0, scaled, 0);
        return Rounding.unfit(file, this.original.name(), firstRow + row, scaled, spec, rowLimits);
    }

    private Vector bring(float @Nullable [] values) {
        if (values == null) {
            return new Vector(null);
        }
        DeviceMemory.Buffer buffer = owner.memory().allocate(4L * values.length, "scales");
        owner.transfers().bring(MemorySegment.ofArray(values), buffer);
        return new Vector(buffer);
    }

    /** Brings weighted errors to about 2^10: room for those of 64 times the size, and for those of a millionth. */
    private float errorScale(Correlations c) {
        return powerOfTwo(0x1p10, (double) largest / QuantizationSpec.MAX_CODE * c.largest());
    }

    /** The power of two that takes {@code size} to between half of {@code target} and it. */
    private static float powerOfTwo(double target, double size) {
        return size > 0 ? Math.scalb(1f, Math.clamp(Math.getExponent(target / size), -100, 100)) : 1f;
    }

    private static double[] divided(double[] sums, float sigma) {
        for (int i = 0; i < sums.length; i++) {
            sums[i] = sums[i] / sigma / sigma;
        }
        return sums;
    }

    private long weightRow(int row) {
        return weight + 2L * row * in;
    }

    private Kernel kernel(String name) {
        return owner.kernels().kernel("quantize.cu", name, constants);
    }

    private Kernel.Grid overGroups(int count) {
        return new Kernel.Grid((groups + WARPS - 1) / WARPS, (count + ROWS_PER_WARP - 1) / ROWS_PER_WARP, 1);
    }

    private void overGroups(String name, Object... arguments) {
        kernel(name).launch(owner.stream(), overGroups(rows), THREADS, 0, arguments);
    }

    private CudaInputStatistics of(InputStatistics input) {
        if (input instanceof CudaInputStatistics found && found.columns() == in) {
            return found;
        }
        throw new IllegalArgumentException(original.name() + ": statistics of another backend or of another input");
    }

    @Override
    public void close() {
        maxima.close();
    }
}
