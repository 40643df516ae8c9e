package nibble.eval.tasks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.datasets.PythonText;
import nibble.datasets.Tokenizer;
import nibble.engine.Continuation;

/**
 * Texts as ids, context and continuation told apart as the harness does.
 *
 * @param bos whether one BOS id leads every request
 * @param prefix the id before a text that has no context
 * @param contextTokens the longest input of the model
 * @param bosText the text of the prefix id; empty where a text that begins with it is like any other
 */
record TokenSplit(Tokenizer tokenizer, boolean bos, int prefix, int contextTokens, String bosText) {
    TokenSplit(Tokenizer tokenizer, boolean bos, int prefix, int contextTokens) {
        this(tokenizer, bos, prefix, contextTokens, "");
    }

    static TokenSplit of(EvaluatedModel subject, EvaluationOptions options) {
        int prefix = options.preset() == Preset.LEADERBOARD_V1 ? subject.eos() : subject.bos();
        return new TokenSplit(
                subject.tokenizer(),
                options.leads(),
                prefix,
                subject.model().contextTokens(),
                options.preset().readsFiles() ? subject.bosText() : "");
    }

    /** Ids of a whole text; one that begins with the BOS as text gets no other. */
    int[] encode(String text) {
        return tokenizer.encode(text, bos && (bosText.isEmpty() || !text.startsWith(bosText)));
    }

    /**
     * Ids of one request, not yet truncated.
     *
     * @param context at least one
     * @param continuation at least one
     */
    record Request(int[] context, int[] continuation) {
        int tokens() {
            return context.length + continuation.length;
        }

        /** Ids that must fall off the beginning, so that all but the last id fit into {@code contextTokens}. */
        int excess(int contextTokens) {
            return Math.max(0, tokens() - (contextTokens + 1));
        }

        /** What the model is given. */
        Continuation truncated(int contextTokens) {
            int[] ids = Arrays.copyOf(context, tokens());
            System.arraycopy(continuation, 0, ids, context.length, continuation.length);
            return new Continuation(
                    Arrays.copyOfRange(ids, excess(contextTokens), ids.length),
                    Math.min(continuation.length, contextTokens));
        }
    }

    /**
     * Spaces at the context's end belong to the continuation; the cut is made by the number of the context's own ids.
     */
    List<Request> requests(List<Ask.Request> texts) {
        List<Request> requests = new ArrayList<>();
        String lastContext = "";
        int[] contextIds = {};
        for (Ask.Request text : texts) {
            if (text.context().isEmpty()) {
                requests.add(withoutContext(text.continuation()));
                continue;
            }
            String context = PythonText.stripRight(text.context());
            String continuation = text.context().substring(context.length()) + text.continuation();
            if (contextIds.length == 0 || !context.equals(lastContext)) {
                lastContext = context;
                contextIds = encode(context);
            }
            int[] whole = encode(context + continuation);
            requests.add(new Request(
                    contextIds, Arrays.copyOfRange(whole, Math.min(contextIds.length, whole.length), whole.length)));
        }
        return requests;
    }

    /**
     * A text in windows that predict each id once: the first has the prefix id before it; the others, the last of which
     * reaches back into the one before, are full.
     */
    List<Request> windows(String text) {
        int[] ids = encode(text);
        List<Request> windows = new ArrayList<>();
        int first = Math.min(contextTokens, ids.length);
        if (first > 0) {
            windows.add(new Request(new int[] {prefix}, Arrays.copyOf(ids, first)));
        }
        for (int done = first; done < ids.length; ) {
            int end = Math.min(ids.length, done + contextTokens);
            windows.add(new Request(
                    Arrays.copyOfRange(ids, end - contextTokens - 1, done), Arrays.copyOfRange(ids, done, end)));
            done = end;
        }
        return windows;
    }

    /** Ids of a prompt that leaves room to write, its beginning cut off if it must be. */
    int[] prompt(String text, int newTokens) {
        int[] ids = encode(text);
        int excess = Math.max(0, ids.length - Math.max(1, contextTokens - newTokens));
        return Arrays.copyOfRange(ids, excess, ids.length);
    }

    /** The prefix id is the context, unless the text begins with it itself. */
    private Request withoutContext(String continuation) {
        int[] ids = tokenizer.encode(continuation, false);
        return ids.length > 0 && ids[0] == prefix
                ? new Request(Arrays.copyOf(ids, 1), Arrays.copyOfRange(ids, 1, ids.length))
                : new Request(new int[] {prefix}, ids);
    }
}
