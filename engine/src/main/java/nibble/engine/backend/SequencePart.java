package nibble.engine.backend;

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
}
