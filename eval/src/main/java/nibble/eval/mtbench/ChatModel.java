package nibble.eval.mtbench;

import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.IntPredicate;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatMessage;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import nibble.engine.Generator;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;

/**
 * Answers conversations with a model.
 *
 * @param template the format it was tuned on
 * @param tokens the literal tokens that the format puts around turns
 * @param stopIds ids that end a turn
 */
public record ChatModel(
        Llama model, Tokenizer tokenizer, ChatTemplate template, SpecialTokens tokens, Set<Integer> stopIds) {
    public ChatModel {
        stopIds = Set.copyOf(stopIds);
    }

    /**
     * Returns the assistant's next turn, without the text that ends it.
     *
     * @throws PromptTooLongException if the conversation leaves no room in the model's context
     */
    public String answer(List<ChatMessage> conversation, SamplingOptions sampling, int maxNewTokens) {
        int[] prompt = prompt(conversation, model.contextTokens());
        return text(Generator.generateWhile(model, prompt, sampling, maxNewTokens, stopIds, noStopYet()));
    }

    /**
     * Returns a conversation as the model reads it.
     *
     * @param context most ids of a text
     * @throws PromptTooLongException if it leaves no room in the model's context
     */
    int[] prompt(List<ChatMessage> conversation, int context) {
        int[] prompt = tokenizer.encode(template.render(conversation, tokens), false);
        if (prompt.length >= context) {
            throw new PromptTooLongException("the conversation has " + prompt.length
                    + " tokens, and the model's context of " + context + " must hold them and the answer");
        }
        return prompt;
    }

    /** Returns the text of a turn's ids, without the text that ends it. */
    String text(int[] ids) {
        String text = tokenizer.decode(ids);
        for (String stop : template.stops()) {
            int at = text.indexOf(stop);
            text = at < 0 ? text : text.substring(0, at);
        }
        return text;
    }

    /** Returns what sees the ids of a turn, and says whether it goes on. */
    IntPredicate noStopYet() {
        return new NoStopYet();
    }

    /** Looks for a stop text in the last tokens: no token of one has less than a character, so that many suffice. */
    private final class NoStopYet implements IntPredicate {
        private final int[] last = new int
                [2 + template.stops().stream().mapToInt(String::length).max().orElse(0)];
        private int count;

        @Override
        public boolean test(int id) {
            System.arraycopy(last, 1, last, 0, last.length - 1);
            last[last.length - 1] = id;
            count = Math.min(count + 1, last.length);
            String text = tokenizer.decode(Arrays.copyOfRange(last, last.length - count, last.length));
            return template.stops().stream().noneMatch(text::contains);
        }
    }
}
