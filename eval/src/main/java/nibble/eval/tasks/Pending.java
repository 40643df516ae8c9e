package nibble.eval.tasks;

import java.util.List;
import nibble.engine.Continuation;

/**
 * A document that waits for its log-likelihoods.
 *
 * @param requests as ids, not yet truncated
 * @param tokens ids that go through the model for it alone
 * @param longest ids of its longest request
 */
record Pending(PreparedTask task, PreparedTask.Item item, List<TokenSplit.Request> requests, int tokens, int longest) {

    static Pending of(PreparedTask task, PreparedTask.Item item, List<TokenSplit.Request> requests, int contextTokens) {
        int longest =
                requests.stream().mapToInt(TokenSplit.Request::tokens).max().orElse(0);
        int tokens = Continuation.tokens(
                requests.stream().map(r -> r.truncated(contextTokens)).toList());
        return new Pending(task, item, requests, tokens, longest);
    }
}
