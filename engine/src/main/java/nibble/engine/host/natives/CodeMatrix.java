package nibble.engine.host.natives;

/**
 * Holds addresses and extents of a matrix of codes of 4 or 8 bits, which the caller has checked, as matrix.h has them.
 *
 * @param zeros 0: all are in the middle, 8 or 128
 * @param groupSize inputs of a group
 */
public record CodeMatrix(
        Layout layout, long codes, long zeros, long scales, boolean lessOne, int outputs, int groups, int groupSize)
        implements ByteMatrix {
    @Override
    public int columns() {
        return groups * groupSize;
    }

    /** Lists the ways in which codes lie, in the library's order. */
    public enum Layout {
        AWQ,
        GPTQ,
        BY_ROWS,
        /** As GPTQ, of 8 bits. */
        GPTQ_BYTES,
        /** As by rows, of 8 bits. */
        BYTES_BY_ROWS
    }

    /**
     * Names groups of a matrix of codes by columns, which are summed in parts.
     *
     * @param first the first group
     * @param end the one behind the last
     * @param ofPart groups of a part; the last part may have fewer
     */
    public record Groups(int first, int end, int ofPart) {
        /** Returns all groups of a matrix. */
        public static Groups all(CodeMatrix matrix, int ofPart) {
            return new Groups(0, matrix.groups, ofPart);
        }
    }
}
