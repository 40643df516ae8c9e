package nibble.checkpoint.model.layer;

/**
 * Describes attention whose keys and values come from a narrow vector (multi-head latent attention, DeepSeek-AI 2024).
 * The first linear gives that vector and, beside it, the part of a key that turns, which all heads share. Each head has
 * a key and a value of its own.
 *
 * @param queryRank width of the vector that queries come from; 0 where they come from the residual stream
 * @param rank width of the vector that keys and values come from
 * @param plain values of a key head that do not turn; the same of a query head
 * @param turned values of a key head that turn, behind the others; neighbours turn together
 * @param value values of a value head, at most as many as those of a key head
 */
public record LatentAttention(int queryRank, int rank, int plain, int turned, int value) {
    /** Epsilon of the norms of the two vectors, whatever that of the other norms is. */
    public static final double NORM_EPS = 1e-6;

    /** Returns the values of a key head, and of a query head. */
    public int headDim() {
        return plain + turned;
    }

    /** Returns the share of a head that turns, such that {@link Rope#width} gives it exactly. */
    public double share() {
        return Math.nextUp((double) turned / headDim());
    }

    /**
     * Returns where each value of a query head of the engine comes from among those of the model: first the part that
     * turns, its pairs as halves, then the others. A product of queries and keys stays what it is.
     *
     * @param heads query heads, as they follow one another
     */
    public int[] queryColumns(int heads) {
        int[] columns = new int[heads * headDim()];
        for (int head = 0; head < heads; head++) {
            int at = head * headDim();
            turned(columns, at, at + plain);
            for (int i = 0; i < plain; i++) {
                columns[at + turned + i] = at + i;
            }
        }
        return columns;
    }

    private void turned(int[] columns, int at, int from) {
        for (int pair = 0; pair < turned / 2; pair++) {
            columns[at + pair] = from + 2 * pair;
            columns[at + turned / 2 + pair] = from + 2 * pair + 1;
        }
    }
}
