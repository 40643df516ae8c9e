package nibble.cli.prompts;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Set;
import nibble.datasets.TextStream;
import nibble.datasets.Tokenizer;
import nibble.engine.Llama;
import nibble.engine.attention.CacheType;
import nibble.engine.batch.BatchOptions;
import nibble.engine.batch.BatchScheduler;
import nibble.engine.batch.Ending;
import nibble.engine.batch.GenerationListener;
import nibble.engine.batch.GenerationRequest;
import nibble.engine.batch.ScoredToken;
import org.jspecify.annotations.Nullable;

/**
 * Answers prompts, many at a time. Borrows the model and the tokenizer.
 *
 * @param stops texts that end an answer
 * @param sequences most answers in the making
 */
public record PromptRun(
        Llama model, Tokenizer tokenizer, Set<Integer> stopIds, List<String> stops, int sequences, CacheType cache) {
    /**
     * Asks for the answer to one prompt.
     *
     * @param index of the prompt
     * @param digest of what the answer is made from
     */
    public record Asked(int index, String digest, PromptLine line, int[] ids) {}

    /** Is told of progress. */
    public interface Watcher {
        /**
         * Hears how far the run is.
         *
         * @param answers made so far
         * @param tokens generated so far
         */
        void answered(int answers, long tokens);
    }

    /** Answers the prompts that have no answer yet. */
    public void run(List<Asked> prompts, PromptAnswers answers, Watcher watcher) {
        List<Asked> left =
                prompts.stream().filter(asked -> !answers.has(asked.index())).toList();
        if (left.isEmpty()) {
            return;
        }
        BatchOptions options = BatchOptions.of(model, cache, sequences, left.size(), longest(left));
        try (BatchScheduler scheduler = new BatchScheduler(model, options)) {
            Failure failure = new Failure();
            for (Asked asked : left) {
                GenerationRequest request = new GenerationRequest(
                        asked.ids(), asked.line().sampling(), asked.line().maxNewTokens(), stopIds);
                scheduler.add(request, new Answer(asked, answers, failure));
            }
            while (failure.cause == null && scheduler.step()) {
                watcher.answered(answers.size(), scheduler.state().generatedTokens());
            }
            if (failure.cause != null) {
                throw failure.cause;
            }
        }
    }

    /** Ids of the longest prompt with its answer. */
    private int longest(List<Asked> prompts) {
        long longest = 0;
        for (Asked asked : prompts) {
            long tokens = asked.ids().length + (long) asked.line().maxNewTokens();
            longest = Math.max(longest, Math.min(BatchScheduler.contextTokens(model), tokens));
        }
        return (int) longest;
    }

    /** The first failure ends the run: what one text meets, damaged weights for one, the others meet too. */
    private static final class Failure {
        @Nullable
        RuntimeException cause;
    }

    private final class Answer implements GenerationListener {
        private final Asked asked;
        private final PromptAnswers answers;
        private final Failure failure;
        private final TextStream text;

        Answer(Asked asked, PromptAnswers answers, Failure failure) {
            this.asked = asked;
            this.answers = answers;
            this.failure = failure;
            this.text = new TextStream(tokenizer, stops, asked.ids(), piece -> {});
        }

        @Override
        public boolean token(ScoredToken token) {
            return text.add(token.id());
        }

        @Override
        public void ended(Ending ending) {
            if (ending == Ending.CANCELLED) {
                return;
            }
            text.end();
            ObjectNode answer = JsonNodeFactory.instance.objectNode();
            answer.set("id", asked.line().id());
            answer.put("text", text.text())
                    .put("finish_reason", ending == Ending.STOP ? "stop" : "length")
                    .put("prompt_tokens", asked.ids().length)
                    .put("completion_tokens", text.tokens());
            answers.add(asked.index(), asked.digest(), answer);
        }

        @Override
        public void failed(RuntimeException cause) {
            failure.cause = cause;
        }
    }
}
