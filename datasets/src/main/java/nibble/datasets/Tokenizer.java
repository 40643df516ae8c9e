package nibble.datasets;

/** Text to token ids and back, as the checkpoint's own tokenizer does it. Thread-safe. */
public interface Tokenizer extends AutoCloseable {
    /**
     * Ids of the whole text, never truncated. With {@code bos}, what the tokenizer puts in front of a text leads, as a
     * beginning-of-text id; what it puts behind one never follows, since texts here are continued.
     */
    int[] encode(String text, boolean bos);

    /** The text of these ids, special tokens left out. */
    String decode(int[] ids);

    /** Number of ids, added tokens included. */
    int vocabularySize();

    @Override
    void close();
}
