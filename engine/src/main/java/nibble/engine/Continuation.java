package nibble.engine;

import java.io.Serializable;
import java.util.List;

/**
 * Holds a text whose end is scored given its beginning: a question with one of its answers.
 *
 * @param ids context, then continuation
 * @param scored how many ids the continuation has; at least 1, fewer than all
 */
public record Continuation(int[] ids, int scored) implements Serializable {
    public Continuation {
        if (scored < 1 || scored >= ids.length) {
            throw new IllegalArgumentException(scored + " of " + ids.length
                    + " ids to be scored: score at least one, and give at least one before it");
        }
    }

    /** Ids that go through the model: all but the last, which is only predicted. */
    int inputs() {
        return ids.length - 1;
    }

    /** Counts the ids that go through the model for all of these together: a shared beginning counts once. */
    public static int tokens(List<Continuation> continuations) {
        return PrefixTree.of(continuations).tokens();
    }
}
