package nibble.eval.tasks;

import java.util.List;

/** Asks a model about one document. */
public sealed interface Ask {

    /** Asks how likely {@code continuation} is after {@code context}. */
    record Request(String context, String continuation) {}

    /** Asks for log-likelihoods of some continuations. */
    record Choices(List<Request> requests) implements Ask {
        public Choices {
            requests = List.copyOf(requests);
        }
    }

    /** Asks for the log-likelihood of a whole text, in windows if it is longer than the context. */
    record Rolling(String text) implements Ask {}

    /**
     * Asks for text written after a prompt, the likeliest id each time.
     *
     * @param newTokens ids to write at most
     * @param stops the text ends before the first of these
     */
    record Writing(String prompt, int newTokens, List<String> stops) implements Ask {
        public Writing {
            stops = List.copyOf(stops);
        }
    }
}
