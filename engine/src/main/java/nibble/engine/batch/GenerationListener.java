package nibble.engine.batch;

import java.util.List;

/** Sees one text grow. Calls come one after another from the service's thread, so they must not block. */
public interface GenerationListener {
    /** Sees the ids of the prompt with their log-probabilities, once, if the request asked for them. */
    default void promptScored(List<ScoredToken> prompt) {}

    /**
     * Sees a new token.
     *
     * @return whether another shall follow; false ends the text with {@link Ending#STOP}
     */
    boolean token(ScoredToken token);

    /** Sees the end, once. No call follows. */
    void ended(Ending ending);

    /** Sees the failure of this text instead of its end, once. No call follows. */
    void failed(RuntimeException cause);
}
