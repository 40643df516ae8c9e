package nibble.datasets;

/** Text to token ids and back, as the checkpoint's own tokenizer does it. Thread-safe. */
public interface Tokenizer extends AutoCloseable {
    /** Ids of the whole text, never truncated. With {@code bos}, one beginning-of-text id leads if the model has one. */
    int[] encode(String text, boolean bos);

    /** The text of these ids, special tokens left out. */
    String decode(int[] ids);

    /** Number of ids, added tokens included. */
    int vocabularySize();

    @Override
    void close();
}
