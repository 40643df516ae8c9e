package nibble.checkpoint.source;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Finds the decoder of text in a config.json that describes a model of several modalities. Its own keys are in {@code
 * text_config}, some that it shares with the other parts beside it.
 */
public final class TextConfig {
    private static final String PART = "text_config";
    private static final String CLASS = "architectures";

    /**
     * Describes a model of several modalities.
     *
     * @param text the class of its decoder
     * @param type {@code model_type} of its decoder
     * @param assumed what transformers assumes of the decoder's extents where a key is absent
     */
    private record Model(String text, String type, Map<String, Number> assumed) {}

    private static final Map<String, Model> KNOWN = Map.of(
            "Llama4ForConditionalGeneration",
            new Model(
                    "Llama4ForCausalLM",
                    "llama4_text",
                    Map.of(
                            "hidden_size", 5120,
                            "intermediate_size_mlp", 16_384,
                            "num_hidden_layers", 48,
                            "num_attention_heads", 40,
                            "vocab_size", 202_048,
                            "rms_norm_eps", 1e-5)),
            "Gemma3ForConditionalGeneration",
            new Model(
                    "Gemma3ForCausalLM",
                    "gemma3_text",
                    Map.of(
                            "hidden_size", 2304,
                            "intermediate_size", 9216,
                            "num_hidden_layers", 26,
                            "num_attention_heads", 8,
                            "vocab_size", 262_208,
                            "rms_norm_eps", 1e-6)));

    /** Keys that stand beside {@link #PART} and concern the text too. */
    private static final List<String> SHARED = List.of(
            "tie_word_embeddings",
            "bos_token_id",
            "eos_token_id",
            "pad_token_id",
            "torch_dtype",
            "dtype",
            "quantization_config",
            "transformers_version");

    private TextConfig() {}

    /** Returns the class of a model of several modalities whose text part is known; empty for any other. */
    public static Optional<String> className(ObjectNode json) {
        for (JsonNode name : json.path(CLASS)) {
            if (KNOWN.containsKey(name.asText())) {
                return Optional.of(name.asText());
            }
        }
        return Optional.empty();
    }

    /**
     * Returns the config of a model's decoder of text, as a model that is nothing else has it; any other config as it
     * is.
     *
     * @param file what messages name
     * @throws BadCheckpointException if the part is missing
     */
    public static ObjectNode of(Path file, ObjectNode json) {
        Model model = className(json).map(KNOWN::get).orElse(null);
        if (model == null) {
            return json;
        }
        ObjectNode text = new ConfigKeys(file, json, "")
                .object(PART)
                .orElseThrow(() -> new BadCheckpointException(
                        file, "key \"" + PART + "\" is missing; take the model's original config.json"))
                .deepCopy();
        text.putArray(CLASS).add(model.text());
        text.put("model_type", model.type());
        for (String key : SHARED) {
            if (!text.hasNonNull(key) && json.has(key)) {
                text.set(key, json.get(key));
            }
        }
        model.assumed().forEach((key, value) -> {
            if (!text.has(key)) {
                if (value instanceof Integer whole) {
                    text.put(key, whole);
                } else {
                    text.put(key, value.doubleValue());
                }
            }
        });
        return text;
    }
}
