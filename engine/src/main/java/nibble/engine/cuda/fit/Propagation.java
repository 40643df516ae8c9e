package nibble.engine.cuda.fit;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.cuda.driver.DeviceMemory;
import org.jspecify.annotations.Nullable;

/**
 * Moves the weights to undo the error of what was quantized before, {@code R (C + λ diag C)⁻¹}, by the share that also
 * holds on text it was not fitted to: see the host's propagation. With {@code y = R L⁻ᵀ} the move d has {@code d H dᵀ =
 * ‖y‖²}, so {@code d C dᵀ} needs no product with C: it is that without what damping added.
 */
public final class Propagation implements AutoCloseable {
    /** Numbers that are kept of a row: {@code d H dᵀ} and what damping has in it, of both halves; {@code d₀ R₁ᵀ}. */
    private static final int SUMS = 5;

    /** Holds {@code R} as sums over tokens, in the original basis. */
    public interface Lacks {
        /**
         * Returns the address of rows {@code first … first + count} of a half's R [count, n] fp32, valid until the next
         * call.
         */
        long rows(int half, int first, int count);

        /** Returns the tokens of a half. */
        long tokens(int half);
    }

    private final FitMoment input;
    private final FitCard card;
    private final Lacks lacks;
    private final int rows;
    private final int atATime;
    private final DeviceMemory.Buffer first;
    private final DeviceMemory.Buffer second;

    /**
     * @param rows of the linear
     * @param atATime rows that are solved for at a time
     */
    Propagation(FitMoment input, Lacks lacks, int rows, int atATime) {
        this.input = input;
        this.card = input.card;
        this.lacks = lacks;
        this.rows = rows;
        this.atATime = Math.min(rows, atATime);
        long bytes = (long) Float.BYTES * rows * input.columns;
        this.first = card.allocate(bytes, "moves of weights");
        this.second = card.allocate(bytes, "moves of weights");
    }

    /**
     * The share of the move that also holds on the other half, 0 … 1.
     *
     * @param solved of {@link #solve}, of all rows of a linear in their order
     */
    static double share(List<double[]> solved) {
        double covered = 0;
        double needed = 0;
        for (double[] found : solved) {
            int count = found.length / SUMS;
            for (int i = 0; i < count; i++) {
                needed += found[i] - found[count + i] + found[2 * count + i] - found[3 * count + i];
                covered += 2 * found[4 * count + i];
            }
        }
        return needed > 0 ? Math.clamp(covered / needed, 0, 1) : 0;
    }

    /**
     * Moves weights.
     *
     * @param target W in the basis [rows, n] fp32; what is to be moved
     */
    void move(double share, long target) {
        if (share <= 0) {
            return;
        }
        double all = lacks.tokens(0) + lacks.tokens(1);
        card.momentElements(
                "add_scattered",
                rows,
                input.columns,
                first.address(),
                second.address(),
                (float) (share * lacks.tokens(0) / all),
                (float) (share * lacks.tokens(1) / all),
                input.order.address(),
                input.inverseScales.address(),
                input.columns,
                target);
    }

    /**
     * Finds the moves of both halves, weighted by D and in the order of the factor.
     *
     * @param columns factors of the columns of the basis, or null for ones
     * @return sums over each row, for {@link #share}; an array for each piece of rows
     */
    List<double[]> solve(float @Nullable [] columns) {
        int n = input.columns;
        long bytes = (long) Float.BYTES * atATime * n;
        List<double[]> solved = new ArrayList<>();
        try (DeviceMemory.Buffer lack = card.allocate(bytes, "moves of weights");
                DeviceMemory.Buffer half = card.allocate(bytes, "moves of weights");
                DeviceMemory.Buffer sums = card.allocate((long) SUMS * Double.BYTES * atATime, "moves of weights");
                DeviceMemory.Buffer a = card.brought(factors(lacks.tokens(0), columns), "moves of weights");
                DeviceMemory.Buffer b = card.brought(factors(lacks.tokens(1), columns), "moves of weights")) {
            for (int row = 0; row < rows; row += atATime) {
                int count = Math.min(atATime, rows - row);
                long offset = (long) Float.BYTES * row * n;
                long each = (long) Double.BYTES * count;
                gather(lacks.rows(0, row, count), count, a, lack);
                solve(count, lack, half, first.address() + offset, sums.address());
                gather(lacks.rows(1, row, count), count, b, lack);
                dots(count, first.address() + offset, lack.address(), 0, sums.address() + 4 * each);
                solve(count, lack, half, second.address() + offset, sums.address() + 2 * each);
                solved.add(card.card.transfers().doubles(sums, SUMS * count));
            }
        }
        return solved;
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

    @Override
    public void close() {
        first.close();
        second.close();
    }
}
