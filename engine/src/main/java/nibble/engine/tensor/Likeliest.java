package nibble.engine.tensor;

/**
 * Holds the greatest logits of a row, and what was summed over all of it: what a device hands out instead of the row.
 *
 * @param ids greatest logit first, equals by id; all ids of the vocabulary if it has no more
 * @param logits of {@code ids}
 * @param vocabulary logits of the row
 * @param sum {@code Σ exp(logit - greatest)}
 * @param tempered {@code Σ exp((logit - greatest) / temperature)}; {@code sum} where the row has temperature 0
 * @param asked an id whose logit was asked for beside them, or {@link #NONE}
 * @param askedLogit its logit
 * @param askedRank 1 for the likeliest id
 */
public record Likeliest(
        int[] ids,
        float[] logits,
        int vocabulary,
        double sum,
        double tempered,
        int asked,
        float askedLogit,
        int askedRank) {
    /** Stands for no id. */
    public static final int NONE = -1;

    /**
     * Bounds the relative error of both sums, for logits up to 88 degrees below the greatest; those below matter less
     * than this. Three roundings of an exponent of at most 88 in fp32, an exponential of 2 units, and a rounding.
     */
    public static final double SUM_ERROR = (3 * 88 + 5) * 0x1p-24;

    /** Returns whether these are all logits of the row. */
    public boolean whole() {
        return ids.length == vocabulary;
    }

    /** Returns the place of an id among the likeliest, or {@link #NONE}. */
    public int place(int id) {
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] == id) {
                return i;
            }
        }
        return NONE;
    }
}
