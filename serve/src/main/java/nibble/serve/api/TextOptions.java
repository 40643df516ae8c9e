package nibble.serve.api;

import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import nibble.engine.SamplingOptions;

/**
 * Holds what both endpoints let a client choose for a text.
 *
 * @param choices texts for each prompt ({@code n})
 * @param maxTokens most new ids; empty if the client set none
 * @param sampling how ids are chosen; its seed is {@link #seed}'s or 0
 * @param seed the client's; empty for one drawn at random
 * @param stops texts that end a text
 * @param includeStop whether the stop text that came is a part of the text
 * @param stopTokenIds ids that end a text beside the model's own
 * @param ignoreEos whether the model's own ids that end a text do not
 * @param skipSpecialTokens whether special tokens have no text
 * @param promptAlternatives likeliest ids to report at each place of the prompt ({@code prompt_logprobs}); -1 for none
 * @param tokenIds whether ids are returned beside texts
 * @param stream whether pieces are sent as they come
 * @param usage whether a stream ends with the usage
 * @param continuousUsage whether every piece of a stream carries the usage so far
 */
public record TextOptions(
        int choices,
        OptionalInt maxTokens,
        SamplingOptions sampling,
        OptionalLong seed,
        List<String> stops,
        boolean includeStop,
        Set<Integer> stopTokenIds,
        boolean ignoreEos,
        boolean skipSpecialTokens,
        int promptAlternatives,
        boolean tokenIds,
        boolean stream,
        boolean usage,
        boolean continuousUsage) {
    /** Most alternatives that are reported at a place, as OpenAI has it. */
    static final int MOST_ALTERNATIVES = 20;

    private static final int MOST_CHOICES = 128;
    private static final int MOST_STOPS = 64;
    private static final double MOST_PENALTY = 2;

    /** Returns the same with other stop texts. */
    public TextOptions withStops(List<String> texts) {
        return new TextOptions(
                choices,
                maxTokens,
                sampling,
                seed,
                texts,
                includeStop,
                stopTokenIds,
                ignoreEos,
                skipSpecialTokens,
                promptAlternatives,
                tokenIds,
                stream,
                usage,
                continuousUsage);
    }

    /**
     * Reads the fields that both endpoints have.
     *
     * @param leastTokens least {@code max_tokens}
     */
    static TextOptions read(Fields fields, int vocabulary, int leastTokens) {
        refuseOthers(fields);
        boolean stream = fields.flag("stream", false);
        Fields streamed = fields.object("stream_options").orElse(null);
        if (streamed != null && !stream) {
            throw ApiException.invalid("stream_options", "stream_options needs \"stream\": true");
        }
        OptionalLong seed = fields.whole("seed", Long.MIN_VALUE, Long.MAX_VALUE);
        OptionalInt topK = fields.integer("top_k", -1, Integer.MAX_VALUE);
        double topP = fields.number("top_p", 0, 1, 1);
        double repetition = fields.number("repetition_penalty", 0, Double.MAX_VALUE, 1);
        if (topP == 0) {
            throw ApiException.invalid("top_p", "top_p is 0; expected more than 0, at most 1");
        }
        if (repetition == 0) {
            throw ApiException.invalid("repetition_penalty", "repetition_penalty is 0; expected more than 0");
        }
        SamplingOptions sampling = new SamplingOptions(
                fields.number("temperature", 0, Double.MAX_VALUE, 1),
                topP,
                Math.max(0, topK.orElse(0)),
                fields.number("min_p", 0, 1, 0),
                repetition,
                fields.number("frequency_penalty", -MOST_PENALTY, MOST_PENALTY, 0),
                fields.number("presence_penalty", -MOST_PENALTY, MOST_PENALTY, 0),
                seed.orElse(0));
        return new TextOptions(
                fields.integer("n", 1, MOST_CHOICES).orElse(1),
                maxTokens(fields, leastTokens),
                sampling,
                seed,
                fields.texts("stop", MOST_STOPS),
                fields.flag("include_stop_str_in_output", false),
                fields.ids("stop_token_ids", vocabulary),
                fields.flag("ignore_eos", false),
                fields.flag("skip_special_tokens", true),
                fields.integer("prompt_logprobs", 0, MOST_ALTERNATIVES).orElse(-1),
                fields.flag("return_token_ids", false),
                stream,
                streamed != null && streamed.flag("include_usage", false),
                streamed != null && streamed.flag("continuous_usage_stats", false));
    }

    private static OptionalInt maxTokens(Fields fields, int least) {
        OptionalInt old = fields.integer("max_tokens", least, Integer.MAX_VALUE);
        OptionalInt present = fields.integer("max_completion_tokens", least, Integer.MAX_VALUE);
        return present.isPresent() ? present : old;
    }

    private static void refuseOthers(Fields fields) {
        fields.refuse("logit_bias", "the sampler has no bias of single tokens");
        fields.refuse("use_beam_search", "texts are sampled");
        fields.refuse("prompt_embeds", "give the prompt as text or token ids");
        fields.refuse("truncate_prompt_tokens", "a prompt is never cut; shorten it");
        fields.refuse("logits_processors", "the server runs no code of a client");
        fields.refuse("bad_words", "the sampler forbids no words");
        fields.refuse("allowed_token_ids", "the sampler forbids no tokens");
        for (String name : List.of(
                "structured_outputs",
                "guided_json",
                "guided_regex",
                "guided_choice",
                "guided_grammar",
                "prediction",
                "audio")) {
            fields.refuse(name, "only free text is generated");
        }
        if (fields.integer("min_tokens", 0, Integer.MAX_VALUE).orElse(0) > 0) {
            throw ApiException.unsupported("min_tokens", "min_tokens is not supported: use ignore_eos");
        }
        fields.object("response_format").ifPresent(format -> {
            if (!format.text("type").orElse("").equals("text")) {
                throw ApiException.unsupported(
                        "response_format", "response_format is not supported but for {\"type\": \"text\"}");
            }
        });
    }
}
