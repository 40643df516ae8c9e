package nibble.checkpoint.inspect;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.SequencedMap;
import nibble.checkpoint.source.FileKind;
import org.jspecify.annotations.Nullable;

/**
 * Holds what a model of any architecture says of its size, in config.json or in GGUF's metadata; null where it says
 * nothing, or not as a single number.
 */
public record ModelExtents(
        @Nullable String architecture,
        @Nullable Long layers,
        @Nullable Long hiddenSize,
        @Nullable Long intermediateSize,
        @Nullable Long attentionHeads,
        @Nullable Long keyValueHeads,
        @Nullable Long vocabularySize,
        @Nullable Long contextTokens) {

    /** Reads the extents from a model's contents. */
    public static ModelExtents of(ModelContents contents) {
        return contents.kind() == FileKind.GGUF
                ? ofMetadata(contents.metadata())
                : contents.config()
                        .map(ModelExtents::ofConfig)
                        .orElseGet(() -> new ModelExtents(null, null, null, null, null, null, null, null));
    }

    private static ModelExtents ofConfig(ObjectNode config) {
        JsonNode name = config.path("architectures").path(0);
        JsonNode architecture = name.isTextual() ? name : config.path("model_type");
        return new ModelExtents(
                architecture.isTextual() ? architecture.asText() : null,
                number(config, "num_hidden_layers", "n_layer", "num_layers"),
                number(config, "hidden_size", "n_embd", "d_model"),
                number(config, "intermediate_size", "n_inner", "ffn_dim"),
                number(config, "num_attention_heads", "n_head"),
                number(config, "num_key_value_heads"),
                number(config, "vocab_size"),
                number(config, "max_position_embeddings", "n_positions", "max_seq_len"));
    }

    /** The first of these keys, which a model of several parts has under {@code text_config}. */
    private static @Nullable Long number(ObjectNode config, String... keys) {
        for (JsonNode json : List.of(config, config.path("text_config"))) {
            for (String key : keys) {
                if (json.path(key).isIntegralNumber() && json.path(key).canConvertToLong()) {
                    return json.path(key).asLong();
                }
            }
        }
        return null;
    }

    private static ModelExtents ofMetadata(SequencedMap<String, Object> metadata) {
        String name = metadata.get("general.architecture") instanceof String text ? text : null;
        Long vocabulary =
                metadata.get("tokenizer.ggml.tokens") instanceof List<?> tokens ? Long.valueOf(tokens.size()) : null;
        return new ModelExtents(
                name,
                number(metadata, name, "block_count"),
                number(metadata, name, "embedding_length"),
                number(metadata, name, "feed_forward_length"),
                number(metadata, name, "attention.head_count"),
                number(metadata, name, "attention.head_count_kv"),
                vocabulary != null ? vocabulary : number(metadata, name, "vocab_size"),
                number(metadata, name, "context_length"));
    }

    private static @Nullable Long number(
            SequencedMap<String, Object> metadata, @Nullable String architecture, String key) {
        return metadata.get(architecture + "." + key) instanceof Long number ? number : null;
    }
}
