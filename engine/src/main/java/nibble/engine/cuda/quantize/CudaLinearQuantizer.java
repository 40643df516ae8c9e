package nibble.engine.cuda.quantize;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.fit.CudaFit;
import nibble.engine.cuda.quantize.CudaInputStatistics.Correlations;
import nibble.engine.host.quantize.ScaledLinear;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.Clip;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.Fitted;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.WeightRows;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Rounding;
import org.jspecify.annotations.Nullable;

/**
 * Quantizes a linear whose fp16 weights lie on the card: rounding and errors by {@code quantize.cu}, products with C by
 * cuBLAS. Codes, zeros and scales are those that the host makes of the same basis and limits, bit for bit; errors
 * differ by the fp16 of the products. Borrows the weights; owns its buffers.
 */
public final class CudaLinearQuantizer extends TrialErrors implements LinearQuantizer {
    /**
     * Places a linear on the card.
     *
     * @throws nibble.checkpoint.source.BadCheckpointException if a weight is not finite
     */
    public CudaLinearQuantizer(
            CudaResources owner,
            QuantizationScratch scratch,
            CudaWeight.Dense weight,
            DenseWeight original,
            Path file,
            QuantizationSpec spec) {
        super(owner, scratch, weight, original, file, spec);
    }

    private CudaLinearQuantizer(CudaLinearQuantizer whole, int firstRow, int rows) {
        super(whole, firstRow, rows);
    }

    /** Returns the device memory that fitting a linear takes at most beside its moments. */
    public static long fitBytes(int rows, int columns) {
        int piece = QuantizationScratch.rows(rows);
        // As many groups as there can be; and the weights of a piece and what they lack, in fp32.
        return CudaFit.bytes(rows, columns, Math.max(1, columns / 32), piece)
                + 2 * DeviceMemory.rounded((long) Float.BYTES * Math.min(rows, piece) * columns);
    }

    /**
     * Returns a quantizer of some rows alone, judged and rounded as in the whole to the bit. Needs no closing.
     *
     * @param first a multiple of {@link QuantizationScratch#rows}
     */
    public CudaLinearQuantizer piece(int first, int count) {
        return new CudaLinearQuantizer(this, first, count);
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

    @Override
    public double[] losses(List<float @Nullable []> columns, InputStatistics input, Runnable onEach) {
        return losses(columns, of(input).correlations(), onEach);
    }

    @Override
    public double outputSize(InputStatistics input) {
        return Arrays.stream(outputSizes(of(input).correlations())).sum();
    }

    @Override
    public double weightError(Basis basis, float @Nullable [] limits) {
        return weightError(List.of(weightErrors(basis, limits)));
    }

    @Override
    public Clip clip(Basis basis, InputStatistics input) {
        return clip(basis, of(input).correlations());
    }

    public Clip clip(Basis basis, Correlations c) {
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

    public QuantizedLinear blank() {
        return QuantizedLinear.blank(rows, in, spec);
    }

    /** Rounds these rows and puts them to their place among the rows of the whole. */
    public void quantizeInto(Basis basis, float @Nullable [] limits, QuantizedLinear whole) {
        int slots = rows * groups;
        long codeBytes = (long) rows * in / spec.codesPerByte();
        try (Vector columns = bring(basis.columns());
                Vector divisors = bring(basis.rows());
                Vector clip = bring(limits);
                DeviceMemory.Buffer codes = owner.memory().allocate(codeBytes, "codes");
                DeviceMemory.Buffer zeros = owner.memory().allocate(slots, "zeros");
                DeviceMemory.Buffer scales = owner.memory().allocate(2L * slots, "scales")) {
            roundOff(basis, limits, columns, divisors, clip, codes, zeros, scales);
            fetch(codes, whole.codes(), (long) firstRow * in / spec.codesPerByte(), codeBytes);
            fetch(zeros, whole.zeros(), (long) firstRow * groups, slots);
            MemorySegment halves = MemorySegment.ofArray(whole.scales()).asSlice(2L * firstRow * groups, 2L * slots);
            owner.transfers().fetch(scales, 0, halves);
        }
    }

    /** @throws BadCheckpointException if a scale does not fit fp16 */
    private void roundOff(
            Basis basis,
            float @Nullable [] limits,
            Vector columns,
            Vector divisors,
            Vector clip,
            DeviceMemory.Buffer codes,
            DeviceMemory.Buffer zeros,
            DeviceMemory.Buffer scales) {
        try (DeviceMemory.Buffer bad = owner.memory().allocate(4, "the first bad row")) {
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
        }
    }

    @Override
    public Fitted fit(Basis basis, PairedMoments moments, FitSteps steps) {
        if (!(moments instanceof CudaPairedMoments there)) {
            throw new IllegalArgumentException(original.name() + ": moments of another backend");
        }
        Correlations c = of(there.input()).correlations();
        QuantizedLinear fitted = blank();
        short[] plain = new short[fitted.scales().length];
        try (PieceFit fit = new PieceFit(this, basis, there.in(basis.columns()), steps, plain)) {
            double share = CudaFit.share(fit.solve());
            double[] rounded = errors(basis, null, c);
            return FittedRows.of(fitted, plain, rounded, there.input().rows(), share, fit.run(share, fitted));
        }
    }

    /** Plain rounding's scales [rows, groups], fp16, to their place among those of the whole. */
    void plainScales(Basis basis, short[] whole) {
        int slots = rows * groups;
        try (Vector columns = bring(basis.columns());
                DeviceMemory.Buffer codes = owner.memory().allocate((long) rows * in / spec.codesPerByte(), "codes");
                DeviceMemory.Buffer zeros = owner.memory().allocate(slots, "zeros");
                DeviceMemory.Buffer scales = owner.memory().allocate(2L * slots, "scales")) {
            roundOff(basis, null, columns, bring(null), bring(null), codes, zeros, scales);
            MemorySegment to = MemorySegment.ofArray(whole).asSlice(2L * firstRow * groups, 2L * slots);
            owner.transfers().fetch(scales, 0, to);
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
