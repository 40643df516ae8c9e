package nibble.datasets;

/** Turns text into token ids and back, as the checkpoint's own tokenizer does it. Thread-safe. */
public interface Tokenizer extends AutoCloseable {
    /**
     * Encodes the whole text, never truncated. With {@code bos}, what the tokenizer puts in front of a text leads, as a
     * beginning-of-text id.
     *
     * <p>What the tokenizer puts behind a text, as an end-of-text id, never follows, whoever asks: calibration,
     * perplexity, tasks and prompts cut texts, join them or continue them, and an end in the middle is a text no model
     * was trained on.
     * {@code nibble tokenize} alone shows it, since it shows what the tokenizer does.
     */
    int[] encode(String text, boolean bos);

    /** Returns the text of these ids, special tokens left out. */
    String decode(int[] ids);

    /** Returns the text of these ids with the texts of special tokens; that of {@link #decode} where there are none. */
    default String decodeWithSpecial(int[] ids) {
        return decode(ids);
    }

    /** Returns the number of ids, added tokens included. */
    int vocabularySize();

    @Override
    void close();
}
