package nibble.engine.backend;

/**
 * Names a run of queries of one sequence, in a matrix that holds those of several, and the blocks with the keys they
 * see.
 *
 * @param firstRow row of the matrix of queries that holds the first one
 * @param rows queries
 * @param firstPosition position of the first query in its sequence
 * @param blocks of the sequence in order: block b begins at row {@code b * blockTokens} of keys and values
 * @param blockTokens rows of a block
 */
public record PagedPart(int firstRow, int rows, int firstPosition, int[] blocks, int blockTokens) {
    /** Returns how many keys the last query may see. */
    public int seen() {
        return firstPosition + rows;
    }

    /** Returns the row that holds the key of a position. */
    public int keyRow(int position) {
        return blocks[position / blockTokens] * blockTokens + position % blockTokens;
    }
}
