package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;

/** Whether a tokenizer.json encodes a text as if it began with a space: three parts of it may say so. */
final class SpaceInFront {
    private SpaceInFront() {}

    static boolean of(JsonNode tokenizer) {
        return parts(tokenizer.path("normalizer"), "normalizers").stream()
                        .anyMatch(part -> part.path("type").asText().equals("Prepend"))
                || parts(tokenizer.path("pre_tokenizer"), "pretokenizers").stream()
                        .anyMatch(SpaceInFront::prepends);
    }

    private static boolean prepends(JsonNode part) {
        return switch (part.path("type").asText()) {
            // Files of before 2024 have a flag instead of the scheme.
            case "Metaspace" ->
                part.has("prepend_scheme")
                        ? !part.path("prepend_scheme").asText().equals("never")
                        : part.path("add_prefix_space").asBoolean(true);
            case "ByteLevel" -> part.path("add_prefix_space").asBoolean(true);
            default -> false;
        };
    }

    private static List<JsonNode> parts(JsonNode whole, String name) {
        return whole.path(name).isArray() ? whole.path(name).valueStream().toList() : List.of(whole);
    }
}
