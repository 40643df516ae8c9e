package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * Holds what a tokenizer's files say in so many words, beside what they mean. GGUF has a key for each, which
 * llama.cpp's converter writes where, and only where, the files say it.
 *
 * @param addEos {@code add_eos_token}
 * @param addSeparator {@code add_sep_token}, or whether the post-processor puts one between the texts of a pair
 * @param addSpacePrefix {@code add_prefix_space}
 * @param ids of further special tokens, by the end of GGUF's key
 */
public record StatedFlags(
        Optional<Boolean> addEos,
        Optional<Boolean> addSeparator,
        Optional<Boolean> addSpacePrefix,
        SequencedMap<String, Integer> ids) {
    /** GGUF's keys of roles, the first misspelt there. */
    private static final Map<String, String> ROLES =
            Map.of("sep", "seperator_token_id", "cls", "cls_token_id", "mask", "mask_token_id");

    /** Reads the flags of a folder or of what was made of a GGUF file. */
    public static StatedFlags of(
            TokenizerDescription described, JsonNode tokenizerConfig, ObjectNode modelConfig, int rows) {
        SequencedMap<String, Integer> ids = new LinkedHashMap<>();
        ROLES.keySet().stream().sorted().forEach(role -> {
            int named = described.id(role + "_token");
            int id = named >= 0 ? named : modelConfig.path(role + "_token_id").asInt(-1);
            if (id >= 0 && id < rows) {
                ids.put(ROLES.get(role), id);
            }
        });
        return new StatedFlags(
                flag(tokenizerConfig, "add_eos_token"),
                flag(tokenizerConfig, "add_sep_token")
                        .or(() -> PostProcessor.separates(
                                described.json().path("post_processor"),
                                described.text("sep_token"),
                                described.text("eos_token"))),
                flag(tokenizerConfig, "add_prefix_space"),
                ids);
    }

    private static Optional<Boolean> flag(JsonNode config, String key) {
        return Optional.of(config.path(key)).filter(JsonNode::isBoolean).map(JsonNode::asBoolean);
    }

    /** Puts into a tokenizer_config.json what it would otherwise not say. */
    void putInto(ObjectNode config, boolean byteLevel) {
        addSeparator.ifPresent(add -> config.put("add_sep_token", add));
        if (byteLevel) {
            // What it is of SentencePiece stands in tokenizer.json.
            addSpacePrefix.ifPresent(add -> config.put("add_prefix_space", add));
        }
    }
}
