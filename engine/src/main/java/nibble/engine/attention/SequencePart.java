package nibble.engine.attention;

/**
 * Names a run of queries of one sequence, in a matrix of more rows than they have, and the keys they see.
 *
 * @param firstRow row of the matrix of queries that holds the first one
 * @param rows queries
 * @param firstPosition position of the first query in its sequence
 * @param firstKey row of the matrix of keys that holds the sequence's position 0
 */
public record SequencePart(int firstRow, int rows, int firstPosition, int firstKey) {
    /** Returns how many rows of keys the last query may see. */
    public int seen() {
        return firstPosition + rows;
    }

    /**
     * Names a run of queries of one sequence, in a matrix that holds those of several, and the blocks with the keys
     * they see.
     *
     * @param firstRow row of the matrix of queries that holds the first one
     * @param rows queries
     * @param firstPosition position of the first query in its sequence
     * @param blocks of the sequence in order: block b begins at row {@code b * blockTokens} of keys and values
     * @param blockTokens rows of a block
     */
    public record InBlocks(int firstRow, int rows, int firstPosition, int[] blocks, int blockTokens) {
        /** Returns how many keys the last query may see. */
        public int seen() {
            return firstPosition + rows;
        }

        /** Returns the row that holds the key of a position. */
        public int keyRow(int position) {
            return blocks[position / blockTokens] * blockTokens + position % blockTokens;
        }
    }
}
