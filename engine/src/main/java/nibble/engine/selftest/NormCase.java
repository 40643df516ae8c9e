package nibble.engine.selftest;

/** Holds operands of a norm's gradient, and knows what rounding may make of it. */
final class NormCase {
    private final int rows;
    private final int columns;
    /** [rows, columns]. */
    final float[] x;

    final float[] dy;
    final float[] gain;
    /** Of the gains. */
    final float[] changes;
    /** {@code r = 1 / √(mean x² + ε)} of each row. */
    private final double[] factors;
    /** {@code r² Σ |dy gain x| / columns} of each row. */
    private final double[] products;

    NormCase(int rows, int columns, double epsilon, Operands operands) {
        this.rows = rows;
        this.columns = columns;
        this.x = operands.values(rows * columns);
        this.dy = operands.values(rows * columns);
        this.gain = operands.norm(columns);
        this.changes = GradientChecks.changes(operands, columns);
        this.factors = new double[rows];
        this.products = new double[rows];
        for (int row = 0; row < rows; row++) {
            double squares = 0;
            double product = 0;
            for (int i = 0; i < columns; i++) {
                int at = row * columns + i;
                squares += (double) x[at] * x[at];
                product += Math.abs(dy[at] * gainAt(i) * x[at]);
            }
            factors[row] = 1 / Math.sqrt(squares / columns + epsilon);
            products[row] = factors[row] * factors[row] * product / columns;
        }
    }

    private double gainAt(int i) {
        return Math.abs((double) gain[i] * (1 + changes[i]));
    }

    /** Returns the largest error of an element of dx, or, after those, of the gains' gradient. */
    double bound(int i) {
        double share = (columns + 20) * GradientChecks.U;
        if (i < x.length) {
            double size = Math.abs(dy[i] * gainAt(i % columns)) + Math.abs(x[i]) * products[i / columns];
            return share * factors[i / columns] * size;
        }
        double size = 0;
        for (int row = 0; row < rows; row++) {
            int at = row * columns + i - x.length;
            size += Math.abs(dy[at] * factors[row] * x[at]);
        }
        return (share + rows * GradientChecks.U) * size;
    }
}
