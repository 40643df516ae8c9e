package nibble.engine.backend;

/** Reports that a text has a token for which the model's embedding has no row. */
public final class MissingRowException extends IllegalArgumentException {
    private static final long serialVersionUID = 1L;

    private MissingRowException(String message) {
        super(message);
    }

    /**
     * Checks ids that are given to a model, whatever for.
     *
     * @param rows of the embedding
     * @param count how many of {@code ids} are to be looked at
     * @throws MissingRowException for the first that is no row
     */
    public static void check(int[] ids, int count, int rows) {
        for (int i = 0; i < count; i++) {
            if (ids[i] < 0 || ids[i] >= rows) {
                throw new MissingRowException(
                        ("token %d of the text is id %d, the model has ids 0 to %d: its embedding has %d rows; leave"
                            + " this token out of the text, or take the tokenizer that belongs to the model")
                                .formatted(i, ids[i], rows - 1, rows));
            }
        }
    }
}
