package nibble.eval.requests;

import java.io.Serializable;
import java.util.List;
import java.util.Set;
import nibble.datasets.Tokenizer;
import nibble.engine.Continuation;
import nibble.engine.LanguageModel;
import nibble.engine.ScoredContinuations;

/** Computes the requests of an evaluation: in this process, or spread over others. */
public interface RequestEngine {
    /**
     * Asks for a text.
     *
     * @param ids of the prompt, at least one
     * @param newTokens ids to write at most
     * @param stops the text ends with the id that completes one of these
     */
    record Prompt(int[] ids, int newTokens, List<String> stops) implements Serializable {
        public Prompt {
            stops = List.copyOf(stops);
        }
    }

    /** Takes the scores of a pass. */
    @FunctionalInterface
    interface Scored {
        /**
         * Takes them.
         *
         * @param pass its index
         */
        void of(int pass, ScoredContinuations scores);
    }

    /** Takes a text. */
    @FunctionalInterface
    interface Written {
        /**
         * Takes it.
         *
         * @param prompt its index
         * @param ids the new ids, without a stop id
         */
        void of(int prompt, int[] ids);
    }

    /**
     * Scores passes, each in one call of the model. Passes may come back in any order, each once, on the caller's
     * thread.
     *
     * @param together whether continuations of a pass share what they begin with; otherwise each is scored by itself
     */
    void score(List<List<Continuation>> passes, boolean together, Scored scored);

    /** Writes the likeliest text after each prompt. Texts may come back in any order, each once, as {@link #score}. */
    void write(List<Prompt> prompts, Written written);

    /**
     * Returns the engine of a model: the model itself if it spreads requests, otherwise one of this process.
     *
     * @param stopIds ids that end a text
     */
    static RequestEngine of(LanguageModel model, Tokenizer tokenizer, Set<Integer> stopIds) {
        return model instanceof RequestEngine spread ? spread : new LocalRequests(model, tokenizer, stopIds);
    }
}
