package nibble.engine.host;

import nibble.engine.attention.HeadCodes;
import nibble.engine.tensor.Matrix;

/**
 * Keys or values on the Java heap as 8-bit codes, with a scale for each head of a row.
 *
 * @param head columns of a head
 * @param codes [rows, columns]
 * @param scales [rows, heads]
 */
record HostCodeMatrix(int rows, int columns, int head, byte[] codes, float[] scales) implements Matrix {
    static HostCodeMatrix zeros(int rows, int columns, int head) {
        long elements = (long) rows * columns;
        if (rows < 0 || head < 1 || columns % head != 0 || elements > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException("codes of " + rows + " rows of " + columns + " columns, heads of " + head
                    + ", do not fit a Java array; use a smaller cache");
        }
        return new HostCodeMatrix(rows, columns, head, new byte[(int) elements], new float[(int) (elements / head)]);
    }

    private int heads() {
        return columns / head;
    }

    /** Rounds rows of numbers into rows of this. */
    void encode(float[] from, int firstFrom, int count, int firstRow) {
        for (int i = 0; i < count * heads(); i++) {
            int at = firstRow * heads() + i;
            scales[at] = HeadCodes.encode(from, firstFrom * columns + i * head, head, codes, at * head);
        }
    }

    /** Writes the values of rows. */
    void decode(int firstRow, int count, float[] to, int firstTo) {
        for (int i = 0; i < count * heads(); i++) {
            int at = firstRow * heads() + i;
            for (int j = 0; j < head; j++) {
                to[firstTo * columns + i * head + j] = codes[at * head + j] * scales[at];
            }
        }
    }

    @Override
    public void close() {}
}
