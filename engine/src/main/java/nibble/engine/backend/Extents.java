package nibble.engine.backend;

import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.RotaryTable;
import nibble.engine.attention.SequencePart;
import nibble.engine.tensor.LogitRule;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;

/** Checks of operands that every backend makes alike. */
public final class Extents {
    private Extents() {}

    public static void require(String operation, String operand, Matrix matrix, int rows, int columns) {
        if (matrix.rows() != rows || matrix.columns() != columns) {
            throw new IllegalArgumentException(operation + ": " + operand + " is [" + matrix.rows() + ", "
                    + matrix.columns() + "], [" + rows + ", " + columns + "] expected");
        }
    }

    public static void attention(
            AttentionShape s, int sequences, Matrix q, int firstPosition, Matrix keys, Matrix values, Matrix out) {
        sequences("attention", "query", q, sequences);
        sequences("attention", "keys", keys, sequences);
        require("attention", "query", q, q.rows(), s.queryColumns());
        require("attention", "keys", keys, keys.rows(), s.keyColumns());
        require("attention", "values", values, keys.rows(), s.keyColumns());
        require("attention", "out", out, q.rows(), s.queryColumns());
        int length = q.rows() / sequences;
        if (firstPosition < 0 || firstPosition + length > keys.rows() / sequences) {
            throw new IllegalArgumentException("attention: queries at positions " + firstPosition + " to "
                    + (firstPosition + length - 1) + " but only " + keys.rows() / sequences + " keys");
        }
    }

    public static void attention(
            AttentionShape s, SequencePart part, Matrix q, Matrix keys, Matrix values, Matrix out) {
        part(s, part.firstRow(), part.rows(), q, keys, values, out);
        int lastKey = part.firstKey() + part.seen();
        if (part.firstPosition() < 0 || part.firstKey() < 0 || lastKey > keys.rows()) {
            throw new IllegalArgumentException(
                    "attention: key rows " + part.firstKey() + " to " + lastKey + " needed, there are " + keys.rows());
        }
    }

    /** Checks attention of a part of a sequence whose keys lie in blocks. */
    public static void attention(
            AttentionShape s, SequencePart.InBlocks part, Matrix q, Matrix keys, Matrix values, Matrix out) {
        part(s, part.firstRow(), part.rows(), q, keys, values, out);
        int there = keys.rows() / part.blockTokens();
        if (part.firstPosition() < 0 || (long) part.blocks().length * part.blockTokens() < part.seen()) {
            throw new IllegalArgumentException("attention: " + part.seen() + " keys needed, the sequence has "
                    + part.blocks().length + " blocks of " + part.blockTokens());
        }
        for (int block : part.blocks()) {
            if (block < 0 || block >= there) {
                throw new IllegalArgumentException("attention: block " + block + " asked of " + there);
            }
        }
    }

    private static void part(
            AttentionShape s, int firstRow, int rows, Matrix q, Matrix keys, Matrix values, Matrix out) {
        require("attention", "query", q, q.rows(), s.queryColumns());
        require("attention", "keys", keys, keys.rows(), s.keyColumns());
        require("attention", "values", values, keys.rows(), s.keyColumns());
        require("attention", "out", out, q.rows(), s.queryColumns());
        int end = firstRow + rows;
        if (firstRow < 0 || rows < 0 || end > q.rows()) {
            throw new IllegalArgumentException(
                    "attention: query rows " + firstRow + " to " + end + " asked of " + q.rows());
        }
    }

    private static void sequences(String operation, String operand, Matrix matrix, int sequences) {
        if (sequences < 1 || matrix.rows() % sequences != 0) {
            throw new IllegalArgumentException(operation + ": " + operand + " of " + matrix.rows() + " rows is not "
                    + sequences + " equal sequences");
        }
    }

    public static void linear(Weight weight, Matrix x, Matrix out) {
        require("linear " + weight.name(), "x", x, x.rows(), weight.inFeatures());
        require("linear " + weight.name(), "out", out, x.rows(), weight.outFeatures());
        if (x == out && x.rows() > 0) {
            throw new IllegalArgumentException("linear " + weight.name() + ": out must not be x");
        }
    }

    public static void rope(Matrix x, int headDim, RotaryTable table, int sequences, int firstPosition) {
        sequences("rope", "x", x, sequences);
        if (headDim < 2 * table.half() || x.columns() % headDim != 0) {
            throw new IllegalArgumentException("rope: head size " + headDim + ", table for " + 2 * table.half() + ", "
                    + x.columns() + " columns; they do not fit");
        }
        int length = x.rows() / sequences;
        if (firstPosition < 0 || firstPosition + length > table.positions()) {
            throw new IllegalArgumentException("rope: positions " + firstPosition + " to "
                    + (firstPosition + length - 1) + " asked, table has " + table.positions());
        }
    }

    public static void rmsNormHeads(Matrix x, int headDim) {
        if (headDim == 0 || x.columns() % headDim != 0) {
            throw new IllegalArgumentException(
                    "rmsNormHeads: " + x.columns() + " columns are no whole number of heads of " + headDim);
        }
    }

    /** Checks what {@link LayerOperations#layerNormHeads} gets. */
    public static void layerNormHeads(Matrix x, float[] weight, int headDim) {
        require("layerNormHeads", "x", x, x.rows(), weight.length);
        if (headDim < 1 || x.columns() % headDim != 0) {
            throw new IllegalArgumentException(
                    "layerNormHeads: " + x.columns() + " columns are no whole number of heads of " + headDim);
        }
    }

    public static void logProbabilities(Weight head, LogitRule rule, Matrix x, int[] next) {
        if (rule.hasBias() && rule.bias().length != head.outFeatures()) {
            throw new IllegalArgumentException(
                    "logProbabilities: a bias of " + rule.bias().length + " for a head of " + head.outFeatures());
        }
        require("logProbabilities", "x", x, next.length, head.inFeatures());
        ids(head, next);
    }

    /** Checks that every id is a row of {@code table}. */
    public static void ids(Weight table, int[] ids) {
        MissingRowException.check(ids, ids.length, table.outFeatures());
    }

    /** Checks gate, up and out of a gated linear unit. */
    public static void glu(Matrix gate, Matrix up, Matrix out) {
        require("glu", "up", up, gate.rows(), gate.columns());
        require("glu", "out", out, gate.rows(), gate.columns());
    }

    /** Checks what is copied by columns. */
    public static void gatherColumns(Matrix source, int[] columns, Matrix target) {
        require("gatherColumns", "target", target, source.rows(), columns.length);
        if (source == target) {
            throw new IllegalArgumentException("gatherColumns: target must not be source");
        }
        for (int column : columns) {
            if (column < LayerOperations.ZERO || column >= source.columns()) {
                throw new IllegalArgumentException("gatherColumns: column " + column + " of only " + source.columns());
            }
        }
    }

    /** Returns how many rows of {@code products} each row of {@code into} takes. */
    public static int mixRows(Matrix products, int[] places, float[] weights, Matrix into) {
        require("mixRows", "products", products, products.rows(), into.columns());
        if (into.rows() == 0 || places.length % into.rows() != 0 || weights.length != places.length) {
            throw new IllegalArgumentException("mixRows: " + places.length + " places and " + weights.length
                    + " weights for " + into.rows() + " rows; the same number of each for every row expected");
        }
        for (int place : places) {
            if (place < 0 || place >= products.rows()) {
                throw new IllegalArgumentException(
                        "mixRows: place " + place + " of only " + products.rows() + " products");
            }
        }
        return places.length / into.rows();
    }
}
