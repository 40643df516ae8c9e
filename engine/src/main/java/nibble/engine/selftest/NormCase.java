package nibble.engine.selftest;

/**
 * Operands of a norm's gradient, and what rounding may make of it.
 *
 * @param x [rows, columns]
 * @param dy [rows, columns]
 * @param changes of the gains
 */
record NormCase(int rows, int columns, double epsilon, float[] x, float[] dy, float[] gain, float[] changes) {
    NormCase(int rows, int columns, double epsilon, Operands operands) {
        this(
                rows,
                columns,
                epsilon,
                operands.values(rows * columns),
                operands.values(rows * columns),
                operands.norm(columns),
                GradientChecks.changes(operands, columns));
    }

    /** {@code r = 1 / √(mean x² + ε)} of a row. */
    private double factor(int row) {
        double squares = 0;
        for (int i = 0; i < columns; i++) {
            squares += (double) x[row * columns + i] * x[row * columns + i];
        }
        return 1 / Math.sqrt(squares / columns + epsilon);
    }

    private double gainAt(int i) {
        return Math.abs((double) gain[i] * (1 + changes[i]));
    }

    /** Of an element of dx, and after those of the gains' gradient. */
    double bound(int i) {
        double share = (columns + 20) * GradientChecks.U;
        if (i >= x.length) {
            double size = 0;
            for (int row = 0; row < rows; row++) {
                int at = row * columns + i - x.length;
                size += Math.abs(dy[at] * factor(row) * x[at]);
            }
            return (share + rows * GradientChecks.U) * size;
        }
        int row = i / columns;
        double r = factor(row);
        double product = 0;
        for (int k = 0; k < columns; k++) {
            product += Math.abs(dy[row * columns + k] * gainAt(k) * x[row * columns + k]);
        }
        double size = Math.abs(dy[i] * gainAt(i % columns)) + Math.abs(x[i]) * r * r * product / columns;
        return share * r * size;
    }
}
