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
 */
record TokenSplit(Tokenizer tokenizer, boolean bos, int prefix, int contextTokens) {

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
            String context = PythonText.stripRight(text.context());
            String continuation = text.context().substring(context.length()) + text.continuation();
            if (requests.isEmpty() || !context.equals(lastContext)) {
                lastContext = context;
                contextIds = tokenizer.encode(context, bos);
            }
            int[] whole = tokenizer.encode(context + continuation, bos);
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
        int[] ids = tokenizer.encode(text, bos);
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
        int[] ids = tokenizer.encode(text, bos);
        return Arrays.copyOfRange(ids, excessOfPrompt(ids.length, newTokens), ids.length);
    }

    int excessOfPrompt(int tokens, int newTokens) {
        return Math.max(0, tokens - Math.max(1, contextTokens - newTokens));
    }
}
