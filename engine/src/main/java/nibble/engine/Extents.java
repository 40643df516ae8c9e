package nibble.engine;

/** Checks of operands that every backend on the host makes alike. */
final class Extents {
    private Extents() {}

    static void require(String operation, String operand, Matrix matrix, int rows, int columns) {
        if (matrix.rows() != rows || matrix.columns() != columns) {
            throw new IllegalArgumentException(operation + ": " + operand + " is [" + matrix.rows() + ", "
                    + matrix.columns() + "], [" + rows + ", " + columns + "] expected");
        }
    }

    static void attention(AttentionShape s, Matrix q, int firstPosition, Matrix keys, Matrix values, Matrix out) {
        require("attention", "query", q, q.rows(), s.queryColumns());
        require("attention", "keys", keys, keys.rows(), s.keyColumns());
        require("attention", "values", values, keys.rows(), s.keyColumns());
        require("attention", "out", out, q.rows(), s.queryColumns());
        if (firstPosition < 0 || firstPosition + q.rows() > keys.rows()) {
            throw new IllegalArgumentException("attention: queries at positions " + firstPosition + " to "
                    + (firstPosition + q.rows() - 1) + " but only " + keys.rows() + " keys");
        }
    }

    static void linear(Weight weight, Matrix x, Matrix out) {
        require("linear " + weight.name(), "x", x, x.rows(), weight.inFeatures());
        require("linear " + weight.name(), "out", out, x.rows(), weight.outFeatures());
        if (HostMatrix.values(x) == HostMatrix.values(out) && x.rows() > 0) {
            throw new IllegalArgumentException("linear " + weight.name() + ": out must not be x");
        }
    }

    static void rope(Matrix x, int headDim, RotaryTable table, int firstPosition) {
        if (headDim != 2 * table.half() || x.columns() % headDim != 0) {
            throw new IllegalArgumentException("rope: head size " + headDim + ", table for " + 2 * table.half()
                    + ", " + x.columns() + " columns; they do not fit");
        }
        if (firstPosition < 0 || firstPosition + x.rows() > table.positions()) {
            throw new IllegalArgumentException("rope: positions " + firstPosition + " to "
                    + (firstPosition + x.rows() - 1) + " asked, table has " + table.positions());
        }
    }

    static void logProbabilities(DenseWeight head, Matrix x, int[] next) {
        require("logProbabilities", "x", x, next.length, head.inFeatures());
        ids(head, next);
    }

    /** Every id must be a row of {@code table}. */
    static void ids(DenseWeight table, int[] ids) {
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] < 0 || ids[i] >= table.outFeatures()) {
                throw new IllegalArgumentException("token id " + ids[i] + " at position " + i
                        + " is outside the vocabulary of " + table.outFeatures()
                        + "; the tokenizer and the model do not belong together");
            }
        }
    }
}
