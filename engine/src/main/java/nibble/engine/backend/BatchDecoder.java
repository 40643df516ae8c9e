package nibble.engine.backend;

import java.util.List;
import nibble.engine.tensor.Likeliest;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.RowLogits;

/**
 * Runs the next tokens of several sequences together, whose keys and values lie in blocks of one cache. Borrows the
 * model and the cache. Logits that it returns can be read until its next call.
 */
public interface BatchDecoder extends AutoCloseable {
    /**
     * Says what is wanted of the logits of a row.
     *
     * @param temperature that {@link Likeliest#tempered()} is for; 0 for none
     * @param asked an id whose logit is wanted, or {@link Likeliest#NONE}
     */
    record Wanted(double temperature, int asked) {}

    /**
     * Names the next token of a sequence.
     *
     * @param position its place in the sequence, whose keys before it are in the cache
     * @param blocks of the sequence, with room for the token
     */
    record Row(int id, int position, int[] blocks, Wanted wanted) {}

    /** Returns the most rows of a call of {@link #next}. */
    int mostRows();

    /** Returns the most rows of a call of {@link #logits}. */
    int mostLogits();

    /** Puts keys and values of the tokens into the cache, and returns the logits after each. */
    List<RowLogits> next(List<Row> rows);

    /**
     * Returns the logits after rows that went through the layers elsewhere.
     *
     * @param hidden after the last layer, before the final norm
     * @param rows of it, at most {@link #mostLogits()}
     */
    List<RowLogits> logits(Matrix hidden, int[] rows, List<Wanted> wanted);

    @Override
    void close();
}
