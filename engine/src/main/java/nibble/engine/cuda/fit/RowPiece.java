package nibble.engine.cuda.fit;

import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Floats;
import nibble.engine.cuda.driver.Into;
import nibble.engine.cuda.driver.Precision;

/** Some rows of a linear on their way from weights to codes, on the card. Owns its memory; borrows the target. */
final class RowPiece implements AutoCloseable {
    final FitCard card;
    final FitMoment input;
    final int rows;
    final int groups;
    /** The largest code. */
    final float most;
    /** What the rows are to become [rows, n] fp32. */
    final long target;

    private final DeviceMemory.Buffer codes;
    private final DeviceMemory.Buffer scales;
    private final DeviceMemory.Buffer zeros;
    private final DeviceMemory.Buffer errors;
    private final DeviceMemory.Buffer gradient;
    private final DeviceMemory.Buffer changes;
    private final DeviceMemory.Buffer sums;

    RowPiece(FitMoment input, int rows, int groups, float most, long target) {
        this.card = input.card;
        this.input = input;
        this.rows = rows;
        this.groups = groups;
        this.most = most;
        this.target = target;
        long elements = (long) rows * input.columns;
        String purpose = "codes on their way";
        codes = card.allocate(elements, purpose);
        scales = card.allocate((long) Float.BYTES * rows * groups, purpose);
        zeros = card.allocate((long) Float.BYTES * rows * groups, purpose);
        errors = card.allocate(Float.BYTES * elements, purpose);
        gradient = card.allocate(Float.BYTES * elements, purpose);
        changes = card.allocate((long) Float.BYTES * rows * BlockWalk.STRETCH, purpose);
        sums = card.allocate((long) Double.BYTES * rows, purpose);
    }

    /** Device memory of a piece. */
    static long bytes(int rows, int columns, int groups) {
        long elements = (long) rows * columns;
        return DeviceMemory.rounded(elements)
                + 2 * DeviceMemory.rounded(Float.BYTES * elements)
                + 2 * DeviceMemory.rounded((long) Float.BYTES * rows * groups)
                + DeviceMemory.rounded((long) Float.BYTES * rows * BlockWalk.STRETCH);
    }

    /** [rows, n], bytes. */
    long codes() {
        return codes.address();
    }

    /** fp32 [rows, groups]. */
    long scales() {
        return scales.address();
    }

    /** Codes of the value 0, fp32 [rows, groups]. */
    long zeros() {
        return zeros.address();
    }

    /** [rows, n]. */
    long errors() {
        return errors.address();
    }

    /** {@code E C} [rows, n], or other sums over columns. */
    long gradient() {
        return gradient.address();
    }

    void clearGradient() {
        card.zero(gradient);
    }

    /** Of the columns of a stretch: rows of {@link BlockWalk#STRETCH} floats. */
    long changes() {
        return changes.address();
    }

    void round() {
        card.elements(
                "nearest_codes", rows, input.columns, target, scales(), zeros(), input.columns, groups, most, codes());
    }

    /** Sets the errors, and the gradient to {@code E C}. */
    void findGradient() {
        card.elements(
                "errors", rows, input.columns, target, codes(), scales(), zeros(), input.columns, groups, errors());
        multiply(errors(), gradient());
    }

    /** {@code product = a C}, both [rows, n]. */
    void multiply(long a, long product) {
        int n = input.columns;
        Floats c = new Floats(input.moment, n);
        card.products().single(Precision.TENSOR, Into.SET, rows, n, n, new Floats(a, n), c, new Floats(product, n));
    }

    /** {@code e C eᵀ} of each row, by the errors and the gradient as they are. */
    double[] losses() {
        dots(errors(), gradient(), sums.address());
        return card.card.transfers().doubles(sums, rows);
    }

    double loss() {
        double loss = 0;
        for (double row : losses()) {
            loss += row;
        }
        return loss;
    }

    /** {@code a bᵀ} of each row, to an address of doubles. */
    void dots(long a, long b, long to) {
        card.momentRows("dot_rows", rows, a, b, 0L, input.columns, to);
    }

    @Override
    public void close() {
        codes.close();
        scales.close();
        zeros.close();
        errors.close();
        gradient.close();
        changes.close();
        sums.close();
    }
}
