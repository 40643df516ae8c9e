package nibble.engine.cuda.fit;

import nibble.engine.cuda.driver.DeviceMemory;
import org.jspecify.annotations.Nullable;

/**
 * The move of the weights that undoes the error of what was quantized before, {@code R (C + λ diag C)⁻¹}, and the share
 * of it that also holds on text it was not fitted to: see the host's propagation. With {@code y = R L⁻ᵀ} the move d has
 * {@code d H dᵀ = ‖y‖²}, so {@code d C dᵀ} needs no product with C: it is that without what damping added.
 */
public final class Propagation {
    /** {@code R} as sums over tokens, in the original basis. */
    @FunctionalInterface
    public interface Lacks {
        /** Address of rows {@code first … first + count} of a half's R [count, n] fp32, valid until the next call. */
        long rows(int half, int first, int count);
    }

    private final FitMoment input;
    private final FitCard card;
    private final int rows;
    private final int atATime;

    /**
     * @param rows of the linear
     * @param atATime rows that are solved for at a time
     */
    Propagation(FitMoment input, int rows, int atATime) {
        this.input = input;
        this.card = input.card;
        this.rows = rows;
        this.atATime = Math.min(rows, atATime);
    }

    /**
     * Moves weights.
     *
     * @param tokens of either half
     * @param columns factors of the columns of the basis, or null for ones
     * @param target W in the basis [rows, n] fp32; what is to be moved
     * @return the share of the move, 0 … 1
     */
    double move(Lacks lacks, long[] tokens, float @Nullable [] columns, long target) {
        int n = input.columns;
        long bytes = (long) Float.BYTES * rows * n;
        try (DeviceMemory.Buffer first = card.allocate(bytes, "moves of weights");
                DeviceMemory.Buffer second = card.allocate(bytes, "moves of weights")) {
            double share = solve(lacks, tokens, columns, first.address(), second.address());
            if (share > 0) {
                double all = tokens[0] + tokens[1];
                card.momentElements(
                        "add_scattered",
                        rows,
                        n,
                        first.address(),
                        second.address(),
                        (float) (share * tokens[0] / all),
                        (float) (share * tokens[1] / all),
                        input.order.address(),
                        input.inverseScales.address(),
                        n,
                        target);
            }
            return share;
        }
    }

    /** Sets the moves of both halves, weighted by D and in the order of the factor. */
    private double solve(Lacks lacks, long[] tokens, float @Nullable [] columns, long first, long second) {
        int n = input.columns;
        long bytes = (long) Float.BYTES * atATime * n;
        double covered = 0;
        double needed = 0;
        try (DeviceMemory.Buffer lack = card.allocate(bytes, "moves of weights");
                DeviceMemory.Buffer half = card.allocate(bytes, "moves of weights");
                DeviceMemory.Buffer sums = card.allocate(5L * Double.BYTES * atATime, "moves of weights");
                DeviceMemory.Buffer a = card.brought(factors(tokens[0], columns), "moves of weights");
                DeviceMemory.Buffer b = card.brought(factors(tokens[1], columns), "moves of weights")) {
            for (int row = 0; row < rows; row += atATime) {
                int count = Math.min(atATime, rows - row);
                long offset = (long) Float.BYTES * row * n;
                long each = (long) Double.BYTES * count;
                gather(lacks.rows(0, row, count), count, a, lack);
                solve(count, lack, half, first + offset, sums.address());
                gather(lacks.rows(1, row, count), count, b, lack);
                dots(count, first + offset, lack.address(), 0, sums.address() + 4 * each);
                solve(count, lack, half, second + offset, sums.address() + 2 * each);
                double[] found = card.card.transfers().doubles(sums, 5 * count);
                for (int i = 0; i < count; i++) {
                    needed += found[i] - found[count + i] + found[2 * count + i] - found[3 * count + i];
                    covered += 2 * found[4 * count + i];
                }
            }
        }
        return needed > 0 ? Math.clamp(covered / needed, 0, 1) : 0;
    }

    /** A move, and to {@code sums} {@code d H dᵀ} of each row, then what damping has in it. */
    private void solve(int count, DeviceMemory.Buffer lack, DeviceMemory.Buffer half, long move, long sums) {
        input.factor.solveTransposed(count, lack.address(), half.address());
        dots(count, half.address(), half.address(), 0, sums);
        input.factor.solve(count, half.address(), move);
        dots(count, move, move, input.dampedShares.address(), sums + (long) Double.BYTES * count);
    }

    private void gather(long lack, int count, DeviceMemory.Buffer factors, DeviceMemory.Buffer to) {
        card.momentElements(
                "gather_columns",
                count,
                input.columns,
                lack,
                input.order.address(),
                factors.address(),
                input.columns,
                to.address());
    }

    private void dots(int count, long a, long b, long weights, long to) {
        card.momentRows("dot_rows", count, a, b, weights, input.columns, to);
    }

    /** What makes sums over tokens means in the basis, divided by D; in the order of the factor. */
    private float[] factors(long tokens, float @Nullable [] columns) {
        float[] factors = new float[input.columns];
        for (int i = 0; i < factors.length; i++) {
            double basis = columns == null ? 1 : columns[input.orderOnHost[i]];
            factors[i] = (float) (input.inverseScalesOnHost[i] / basis / Math.max(1, tokens));
        }
        return factors;
    }
}
