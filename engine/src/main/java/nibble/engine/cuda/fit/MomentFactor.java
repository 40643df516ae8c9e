package nibble.engine.cuda.fit;

import static nibble.engine.cuda.fit.FitCard.BLOCK;

import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Floats;
import nibble.engine.cuda.driver.Into;
import nibble.engine.cuda.driver.Precision;

/**
 * The factor of the damped C, {@code H = D L Lᵀ D} with D the roots of H's diagonal, in the reversed order of
 * activation. The host factorizes the inverse, {@code H⁻¹ = Uᵀ U} in the order of activation; {@code U⁻¹} read from its
 * end is {@code D L}, so L serves the same steps and no inverse is made. Owns its memory.
 *
 * <p>In fp32: all elements of {@code L Lᵀ} are at most 1 and its least eigenvalue is at least that of the damping,
 * 0.01. Each element is rounded a few hundred times by at most 2⁻²⁴ of itself, so for 28,672 columns the matrix that is
 * factorized differs from {@code L Lᵀ} by less than 1e-4 in norm, a hundredth of the damping.
 */
final class MomentFactor implements AutoCloseable {
    /** Columns of a piece of the trailing matrix, of which only what lies left of the diagonal counts. */
    private static final int STRIP = 2048;

    private final FitCard card;
    private final int n;
    private final DeviceMemory.Buffer lower;
    private final DeviceMemory.Buffer inverses;

    /**
     * Factorizes.
     *
     * @param moment C [n, n]
     * @param order of the columns [n]
     * @param inverse 1 / √H_ii in that order [n]
     */
    MomentFactor(FitCard card, long moment, long order, long inverse, int n) {
        this.card = card;
        this.n = n;
        this.lower = card.allocate((long) Float.BYTES * n * n, "the factor of second moments");
        int blocks = (n + BLOCK - 1) / BLOCK;
        this.inverses = card.allocate((long) blocks * blockBytes(), "the factor of second moments");
        card.momentRows("damped", n, moment, order, inverse, n, lower.address());
        factorize();
    }

    private static long blockBytes() {
        return (long) Float.BYTES * BLOCK * BLOCK;
    }

    /** L [n, n]; what lies right of its diagonal is undefined. */
    long address() {
        return lower.address();
    }

    private long at(int row, int column) {
        return lower.address() + Float.BYTES * ((long) row * n + column);
    }

    private Floats part(int row, int column) {
        return new Floats(at(row, column), n);
    }

    private long inverse(int first) {
        return inverses.address() + first / BLOCK * blockBytes();
    }

    private Floats inverted(int first) {
        return new Floats(inverse(first), BLOCK);
    }

    private void factorize() {
        try (DeviceMemory.Buffer panel =
                card.allocate((long) Float.BYTES * n * BLOCK, "the factor of second moments")) {
            for (int first = 0; first < n; first += BLOCK) {
                int count = Math.min(BLOCK, n - first);
                int end = first + count;
                card.factorBlock(lower.address(), n, first, count, inverse(first));
                if (end == n) {
                    break;
                }
                card.products()
                        .singleTransposed(
                                Precision.SINGLE,
                                Into.SET,
                                n - end,
                                count,
                                count,
                                part(end, first),
                                inverted(first),
                                new Floats(panel.address(), BLOCK));
                card.momentElements("copy_columns", n - end, count, panel.address(), BLOCK, at(end, first), n, count);
                for (int strip = end; strip < n; strip += STRIP) {
                    Floats rows = new Floats(panel.address() + (long) Float.BYTES * (strip - end) * BLOCK, BLOCK);
                    card.products()
                            .singleTransposed(
                                    Precision.SINGLE,
                                    Into.SUBTRACT,
                                    n - strip,
                                    Math.min(STRIP, n - strip),
                                    count,
                                    rows,
                                    rows,
                                    part(strip, strip));
                }
            }
        }
    }

    /** {@code y = r L⁻ᵀ}, both [rows, n]; r is used up. */
    void solveTransposed(int rows, long r, long y) {
        for (int first = 0; first < n; first += BLOCK) {
            int count = Math.min(BLOCK, n - first);
            int end = first + count;
            Floats solved = new Floats(y + (long) Float.BYTES * first, n);
            card.products()
                    .singleTransposed(
                            Precision.SINGLE,
                            Into.SET,
                            rows,
                            count,
                            count,
                            new Floats(r + (long) Float.BYTES * first, n),
                            inverted(first),
                            solved);
            card.products()
                    .singleTransposed(
                            Precision.SINGLE,
                            Into.SUBTRACT,
                            rows,
                            n - end,
                            count,
                            solved,
                            part(end, first),
                            new Floats(r + (long) Float.BYTES * end, n));
        }
    }

    /** {@code d = y L⁻¹}, both [rows, n]; y is used up. */
    void solve(int rows, long y, long d) {
        for (int first = (n - 1) / BLOCK * BLOCK; first >= 0; first -= BLOCK) {
            int count = Math.min(BLOCK, n - first);
            Floats solved = new Floats(d + (long) Float.BYTES * first, n);
            card.products()
                    .single(
                            Precision.SINGLE,
                            Into.SET,
                            rows,
                            count,
                            count,
                            new Floats(y + (long) Float.BYTES * first, n),
                            inverted(first),
                            solved);
            card.products()
                    .single(
                            Precision.SINGLE,
                            Into.SUBTRACT,
                            rows,
                            first,
                            count,
                            solved,
                            part(first, 0),
                            new Floats(y, n));
        }
    }

    @Override
    public void close() {
        lower.close();
        inverses.close();
    }
}
