package nibble.engine.cuda.fit;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.quantize.FitSteps;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/** Fits a linear whose fp16 weights lie on the card: the steps of the host's fit, for thousands of rows at a time. */
public final class CudaFit implements AutoCloseable {
    private final FitMoment input;
    private final FitCard card;
    private final FitSteps steps;
    private final QuantizationSpec spec;
    private final long weight;
    private final int rows;
    private final float @Nullable [] columns;
    private final int atATime;
    private final int n;
    private final int groups;
    private final @Nullable Propagation propagation;

    /**
     * Holds what a fit leaves of a piece of rows.
     *
     * @param loss {@code Σ e C eᵀ} over the rows, a mean over tokens
     * @param error {@code ‖Ŵ−W‖²} in the basis
     * @param size {@code ‖W‖²} in the basis
     * @param sweeps of coordinate descent
     */
    public record Piece(int rows, double loss, double error, double size, int sweeps) {}

    /**
     * Prepares a fit of a linear, or of some of its rows: whole pieces, so that they become what they become in the
     * whole, to the bit.
     *
     * @param lacks what the outputs lack
     * @param weight address of W [rows, n] fp16
     * @param columns factors of the columns of the basis that {@code input} is in, or null for ones
     * @param atATime rows that are fitted at a time
     */
    public CudaFit(
            FitMoment input,
            Propagation.Lacks lacks,
            FitSteps steps,
            QuantizationSpec spec,
            long weight,
            int rows,
            float @Nullable [] columns,
            int atATime) {
        this.input = input;
        this.card = input.card;
        this.steps = steps;
        this.spec = spec;
        this.weight = weight;
        this.rows = rows;
        this.columns = columns;
        this.atATime = Math.min(rows, atATime);
        this.n = input.columns;
        this.groups = spec.groups(n);
        this.propagation = steps.propagate() && rows > 0 ? new Propagation(input, lacks, rows, atATime) : null;
    }

    /** Returns the device memory that fitting such a linear takes beside C and its factor. */
    public static long bytes(int rows, int columns, int groups, int atATime) {
        int piece = Math.min(rows, atATime);
        return 3 * DeviceMemory.rounded((long) Float.BYTES * rows * columns)
                + Math.max(
                        RowPiece.bytes(piece, columns, groups) + RangeSearch.bytes(piece, columns),
                        3 * DeviceMemory.rounded((long) Float.BYTES * piece * columns));
    }

    /** Finds by how much weights would move, and how well that holds: sums over rows, for {@link #share}. */
    public List<double[]> solve() {
        return propagation == null ? List.of() : propagation.solve(columns);
    }

    /**
     * Returns the share of the moves that is taken.
     *
     * @param solved of {@link #solve}, of all rows of a linear in their order
     */
    public static double share(List<double[]> solved) {
        return Propagation.share(solved);
    }

    /**
     * Fits.
     *
     * @param share of the moves that {@link #solve} has found
     * @param into takes codes, zeros and scales
     * @param firstRow the row of {@code into} that the first of these rows is
     */
    public List<Piece> run(double share, QuantizedLinear into, int firstRow) {
        List<Piece> pieces = new ArrayList<>();
        try (DeviceMemory.Buffer target = card.allocate((long) Float.BYTES * rows * n, "weights on their way");
                DeviceMemory.Buffer factors = card.brought(columns == null ? new float[1] : columns, "scales");
                DeviceMemory.Buffer sums = card.allocate(2L * Double.BYTES * atATime, "errors of rows")) {
            long basis = columns == null ? 0 : factors.address();
            card.elements("weights_in_basis", rows, n, weight, basis, n, target.address());
            if (propagation != null) {
                propagation.move(share, target.address());
            }
            for (int first = 0; first < rows; first += atATime) {
                int count = Math.min(atATime, rows - first);
                long from = target.address() + (long) Float.BYTES * first * n;
                try (RowPiece piece = new RowPiece(input, count, groups, spec.maxCode(), from)) {
                    int swept = fit(piece);
                    double loss = piece.loss();
                    card.rows(
                            "fitted_errors",
                            count,
                            weight + (long) Short.BYTES * first * n,
                            basis,
                            piece.codes(),
                            piece.scales(),
                            piece.zeros(),
                            n,
                            groups,
                            sums.address(),
                            sums.address() + (long) Double.BYTES * count);
                    double[] found = card.card.transfers().doubles(sums, 2 * count);
                    double error = 0;
                    double size = 0;
                    for (int i = 0; i < count; i++) {
                        error += found[i];
                        size += found[count + i];
                    }
                    pieces.add(new Piece(count, loss, error, size, swept));
                    write(piece, firstRow + first, into);
                }
            }
        }
        return pieces;
    }

    /**
     * All steps but the first; errors and gradient are those of the result.
     *
     * @return sweeps of coordinate descent
     */
    private int fit(RowPiece piece) {
        new RangeSearch(piece, spec, steps.ranges()).run();
        if (steps.compensate()) {
            CompensatedRounding.run(piece);
        } else {
            piece.round();
        }
        piece.findGradient();
        for (int sweep = 0; sweep < steps.sweeps(); sweep++) {
            CoordinateDescent.run(piece);
            piece.findGradient();
        }
        int sweeps = steps.sweeps();
        double before = piece.loss();
        for (int round = 0; round < steps.refits(); round++) {
            ScaleRefit.run(piece);
            piece.findGradient();
            CoordinateDescent.run(piece);
            piece.findGradient();
            sweeps++;
            double after = piece.loss();
            if (after > before * (1 - FitSteps.WORTHWHILE)) {
                break;
            }
            before = after;
        }
        return sweeps;
    }

    private void write(RowPiece piece, int first, QuantizedLinear into) {
        int slots = piece.rows * groups;
        int perByte = spec.codesPerByte();
        int codeBytes = Math.toIntExact((long) piece.rows * n / perByte);
        try (DeviceMemory.Buffer codes = card.allocate(codeBytes, "codes");
                DeviceMemory.Buffer zeros = card.allocate(slots, "zeros");
                DeviceMemory.Buffer scales = card.allocate((long) Short.BYTES * slots, "scales")) {
            card.elements("pack_codes", piece.rows, n / perByte, piece.codes(), n, perByte, codes.address());
            card.elements(
                    "pack_grids", 1, slots, piece.scales(), piece.zeros(), slots, scales.address(), zeros.address());
            fetch(codes, MemorySegment.ofArray(into.codes()), (long) first * n / perByte, codeBytes);
            fetch(zeros, MemorySegment.ofArray(into.zeros()), (long) first * groups, slots);
            fetch(
                    scales,
                    MemorySegment.ofArray(into.scales()),
                    (long) Short.BYTES * first * groups,
                    (long) Short.BYTES * slots);
        }
    }

    private void fetch(DeviceMemory.Buffer from, MemorySegment to, long offset, long bytes) {
        card.card.transfers().fetch(from, 0, to.asSlice(offset, bytes));
    }

    @Override
    public void close() {
        if (propagation != null) {
            propagation.close();
        }
    }
}
