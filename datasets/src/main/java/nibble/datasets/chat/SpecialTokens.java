package nibble.datasets.chat;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;

/**
 * The literal tokens that templates put around turns.
 *
 * @param bos begins a text, as {@code <s>}; empty if the model has none
 * @param eos ends a turn, as {@code </s>}; empty if the model has none
 */
public record SpecialTokens(String bos, String eos) {
    /** Reads them from a folder's tokenizer_config.json, if it has one. */
    public static SpecialTokens of(Path folder) {
        JsonNode config = ChatTemplate.json(folder.resolve("tokenizer_config.json"));
        return new SpecialTokens(token(config.path("bos_token")), token(config.path("eos_token")));
    }

    private static String token(JsonNode token) {
        return token.isObject() ? token.path("content").asText("") : token.isTextual() ? token.asText() : "";
    }
}
