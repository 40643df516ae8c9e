package nibble.serve.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * Holds a request to {@code /v1/completions}.
 *
 * @param echo whether the prompt leads its text
 * @param alternatives likeliest tokens to report with each token; -1 reports no log-probabilities
 * @param specialTokens whether what the tokenizer puts in front of a text leads a prompt given as text
 */
public record CompletionCall(
        TextOptions options, List<Prompt> prompts, boolean echo, int alternatives, boolean specialTokens) {
    /** What OpenAI generates unless told. */
    public static final int DEFAULT_MAX_TOKENS = 16;

    private static final int MOST_PROMPTS = 2048;

    /**
     * Reads a body.
     *
     * @throws ApiException if a field is missing, of a wrong type, out of range or not supported
     */
    public static CompletionCall read(ObjectNode body, int vocabulary) {
        Fields fields = new Fields(body);
        boolean echo = fields.flag("echo", false);
        TextOptions options = TextOptions.read(fields, vocabulary, echo ? 0 : 1);
        fields.refuse("suffix", "the model does not fill gaps");
        int best = fields.integer("best_of", 1, Integer.MAX_VALUE).orElse(options.choices());
        if (best != options.choices()) {
            throw ApiException.unsupported(
                    "best_of", "best_of other than n is not supported: ask for n texts with logprobs and choose");
        }
        OptionalInt logprobs = fields.integer("logprobs", 0, TextOptions.MOST_ALTERNATIVES);
        return new CompletionCall(
                options,
                prompts(fields, vocabulary),
                echo,
                logprobs.orElse(-1),
                fields.flag("add_special_tokens", true));
    }

    /** A text, a list of texts, a list of ids, or a list of lists of ids. */
    private static List<Prompt> prompts(Fields fields, int vocabulary) {
        JsonNode node = fields.node("prompt")
                .orElseThrow(() -> ApiException.invalid("prompt", "prompt is missing; give a string or token ids"));
        List<Prompt> prompts = new ArrayList<>();
        if (node.isTextual()) {
            prompts.add(new Prompt.Text(fields.paired("prompt", node.textValue())));
        } else if (node.isArray() && node.path(0).isIntegralNumber()) {
            prompts.add(new Prompt.Ids(fields.ids("prompt", node, vocabulary)));
        } else if (node.isArray()) {
            if (node.size() > MOST_PROMPTS) {
                throw ApiException.invalid("prompt", node.size() + " prompts given; at most " + MOST_PROMPTS);
            }
            for (JsonNode item : node) {
                if (item.isTextual()) {
                    prompts.add(new Prompt.Text(fields.paired("prompt", item.textValue())));
                } else if (item.isArray()) {
                    prompts.add(new Prompt.Ids(fields.ids("prompt", item, vocabulary)));
                } else {
                    throw fields.wrong("prompt", "strings or lists of token ids", item);
                }
            }
        } else {
            throw fields.wrong("prompt", "a string, a list of strings, or token ids", node);
        }
        if (prompts.isEmpty()) {
            throw ApiException.invalid("prompt", "prompt is an empty list; at least one prompt is needed");
        }
        return prompts;
    }
}
