package nibble.engine.cuda.fit;

import java.lang.foreign.MemorySegment;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.quantize.FitSteps;
import nibble.pack.QuantizationSpec;

/**
 * The grid of each group, as the host's range search chooses it: each pair of ends is rated by the group's block of C,
 * as correlations in fp16, for all groups at once.
 */
final class RangeSearch {
    /** Bytes of products at a time. */
    private static final long PRODUCT_BYTES = 256L << 20;

    private static final int THREADS = 256;
    private static final int ROWS_PER_WARP = 4;
    private static final int WARPS = THREADS / 32;

    private final RowPiece piece;
    private final FitCard card;
    private final int n;
    private final int symmetric;
    private final float[] lows;
    private final float[] highs;

    RangeSearch(RowPiece piece, QuantizationSpec spec, int ranges) {
        this.piece = piece;
        this.card = piece.card;
        this.n = piece.input.columns;
        this.symmetric = spec.symmetric() ? 1 : 0;
        float[] shares = FitSteps.shares(ranges, spec.symmetric());
        int pairs = spec.symmetric() ? shares.length : shares.length * shares.length;
        this.lows = new float[pairs];
        this.highs = new float[pairs];
        for (int i = 0; i < pairs; i++) {
            lows[i] = shares[spec.symmetric() ? i : i / shares.length];
            highs[i] = shares[i % shares.length];
        }
    }

    /** Device memory that the search takes. */
    static long bytes(int rows, int columns) {
        long elements = (long) atATime(rows, columns) * columns;
        return DeviceMemory.rounded(Float.BYTES * elements) + DeviceMemory.rounded(Short.BYTES * elements);
    }

    private static int atATime(int rows, int columns) {
        return (int) Math.clamp(PRODUCT_BYTES / (Float.BYTES * (long) columns), 1, rows);
    }

    /** Sets scales and zeros. */
    void run() {
        int slots = piece.rows * piece.groups;
        try (DeviceMemory.Buffer bounds = card.allocate(2L * Float.BYTES * slots, "ranges of groups");
                DeviceMemory.Buffer largest = card.brought(new int[1], "ranges of groups");
                DeviceMemory.Buffer triedLows = card.brought(lows, "ranges of groups");
                DeviceMemory.Buffer triedHighs = card.brought(highs, "ranges of groups");
                DeviceMemory.Buffer least = card.allocate((long) Double.BYTES * slots, "ranges of groups");
                DeviceMemory.Buffer steps = card.allocate(slots, "ranges of groups")) {
            card.groups(
                    "group_bounds",
                    piece.rows,
                    piece.groups,
                    piece.target,
                    n,
                    piece.groups,
                    bounds.address(),
                    largest.address());
            if (piece.groups == 1) {
                ofRows(bounds, triedLows, triedHighs, least, steps);
            } else {
                ofGroups(bounds, largest, least, steps);
            }
            setGrids(bounds, steps.address(), triedLows, triedHighs, -1);
        }
    }

    /** @param fixed the step of all groups, or −1 for {@code steps} */
    private void setGrids(
            DeviceMemory.Buffer bounds,
            long steps,
            DeviceMemory.Buffer triedLows,
            DeviceMemory.Buffer triedHighs,
            int fixed) {
        int slots = piece.rows * piece.groups;
        card.elements(
                "range_grids",
                1,
                slots,
                bounds.address(),
                steps,
                fixed,
                triedLows.address(),
                triedHighs.address(),
                piece.most,
                symmetric,
                slots,
                piece.scales(),
                piece.zeros());
    }

    private void ofGroups(
            DeviceMemory.Buffer bounds,
            DeviceMemory.Buffer largest,
            DeviceMemory.Buffer least,
            DeviceMemory.Buffer steps) {
        int[] bits = new int[1];
        card.card.transfers().fetch(largest, 0, MemorySegment.ofArray(bits));
        float sigma = errorScale(Float.intBitsToFloat(bits[0]));
        int atATime = atATime(piece.rows, n);
        try (DeviceMemory.Buffer errors = card.allocate((long) Short.BYTES * atATime * n, "errors on trial");
                DeviceMemory.Buffer products = card.allocate((long) Float.BYTES * atATime * n, "errors on trial");
                DeviceMemory.Buffer losses =
                        card.allocate((long) Double.BYTES * atATime * piece.groups, "errors on trial")) {
            for (int first = 0; first < piece.rows; first += atATime) {
                int count = Math.min(atATime, piece.rows - first);
                for (int step = 0; step < lows.length; step++) {
                    rate(first, count, step, sigma, bounds, errors, products, losses);
                    choose(losses, least, steps, first * piece.groups, count * piece.groups, step);
                }
            }
        }
    }

    private void rate(
            int first,
            int count,
            int step,
            float sigma,
            DeviceMemory.Buffer bounds,
            DeviceMemory.Buffer errors,
            DeviceMemory.Buffer products,
            DeviceMemory.Buffer losses) {
        int groups = piece.groups;
        int length = n / groups;
        card.groups(
                "range_errors",
                count,
                groups,
                piece.target + (long) Float.BYTES * first * n,
                bounds.address() + 2L * Float.BYTES * first * groups,
                n,
                groups,
                lows[step],
                highs[step],
                piece.most,
                symmetric,
                piece.input.deviations.address(),
                sigma,
                errors.address());
        card.products()
                .multiplyTransposed(
                        groups,
                        count,
                        length,
                        length,
                        errors.address(),
                        n,
                        length,
                        piece.input.correlations,
                        n,
                        (long) length * (n + 1),
                        products.address(),
                        n,
                        length);
        card.quantizing("group_products", length)
                .launch(
                        card.card.stream(),
                        new Kernel.Grid((groups + WARPS - 1) / WARPS, (count + ROWS_PER_WARP - 1) / ROWS_PER_WARP, 1),
                        THREADS,
                        0,
                        products.address(),
                        errors.address(),
                        count,
                        n,
                        groups,
                        losses.address());
    }

    /** Where a row is one group, its loss is by the whole C. */
    private void ofRows(
            DeviceMemory.Buffer bounds,
            DeviceMemory.Buffer triedLows,
            DeviceMemory.Buffer triedHighs,
            DeviceMemory.Buffer least,
            DeviceMemory.Buffer steps) {
        try (DeviceMemory.Buffer losses = card.allocate((long) Double.BYTES * piece.rows, "errors on trial")) {
            for (int step = 0; step < lows.length; step++) {
                setGrids(bounds, 0, triedLows, triedHighs, step);
                piece.round();
                piece.findGradient();
                piece.dots(piece.errors(), piece.gradient(), losses.address());
                choose(losses, least, steps, 0, piece.rows, step);
            }
        }
    }

    /** Keeps the step of each slot with the least loss. */
    private void choose(
            DeviceMemory.Buffer losses,
            DeviceMemory.Buffer least,
            DeviceMemory.Buffer steps,
            int firstSlot,
            int slots,
            int step) {
        card.quantizing("choose", 0)
                .launch(
                        card.card.stream(),
                        Kernel.Grid.of((slots + THREADS - 1) / THREADS),
                        THREADS,
                        0,
                        losses.address(),
                        least.address() + (long) Double.BYTES * firstSlot,
                        steps.address() + firstSlot,
                        step,
                        slots);
    }

    /** The power of two that brings weighted errors to about 2^10, far from either end of fp16. */
    private float errorScale(float largestWeight) {
        double size = (double) largestWeight / piece.most * piece.input.largestDeviation;
        return size > 0 ? Math.scalb(1f, Math.clamp(Math.getExponent(0x1p10 / size), -100, 100)) : 1f;
    }
}
