package nibble.datasets;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;

/**
 * What a tokenizer.json must not hold, since the tokenizers library (0.21) ends the whole process over it instead of
 * refusing it. Everything else that is wrong with one the library says itself.
 */
final class NativeRules {
    private static final int MAX_DEPTH = 64;
    private static final ObjectMapper JSON = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(MAX_DEPTH)
                            .build())
                    .build())
            .build();

    private NativeRules() {}

    /** @throws IOException whose message says what was found */
    static void check(byte[] json) throws IOException {
        String prefix = "";
        try (JsonParser parser = JSON.createParser(json)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("found no JSON object");
            }
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "model" -> prefix = prefix(parser);
                    case "normalizer", "pre_tokenizer", "decoder", "post_processor" -> walk(JSON.readTree(parser));
                    default -> parser.skipChildren();
                }
            }
        }
        if (!prefix.isEmpty()) {
            merges(JSON.readTree(json).at("/model/merges"), prefix);
        }
    }

    /** The prefix that all but the first pieces of a word are said to have. */
    private static String prefix(JsonParser model) throws IOException {
        String prefix = "";
        if (model.currentToken() != JsonToken.START_OBJECT) {
            model.skipChildren();
            return prefix;
        }
        while (model.nextToken() == JsonToken.FIELD_NAME) {
            String field = model.currentName();
            JsonToken value = model.nextToken();
            if (field.equals("continuing_subword_prefix") && value == JsonToken.VALUE_STRING) {
                prefix = model.getText();
            }
            model.skipChildren();
        }
        return prefix;
    }

    /** The library cuts the prefix off each right half without looking whether it is there. */
    private static void merges(JsonNode merges, String prefix) throws IOException {
        for (JsonNode merge : merges) {
            String right =
                    merge.isArray() ? merge.path(1).asText() : merge.asText().replaceFirst("^[^ ]* ", "");
            if (!right.startsWith(prefix) || prefix.chars().anyMatch(letter -> letter > 127)) {
                throw new IOException("model.continuing_subword_prefix is \"" + prefix
                        + "\", which the right half of the merge " + merge + " does not begin with");
            }
        }
    }

    private static void walk(JsonNode part) throws IOException {
        if (part.path("type").asText().equals("Strip")
                && part.path("start").asInt() > 0
                && part.path("stop").asInt() > 0) {
            throw new IOException("a step \"Strip\" takes from both ends: " + part);
        }
        for (JsonNode piece : part.path("single")) {
            String id = piece.at("/SpecialToken/id").asText("");
            if (piece.has("SpecialToken") && !part.path("special_tokens").has(id)) {
                throw new IOException(
                        "the post_processor's \"single\" names \"" + id + "\", its special_tokens do not");
            }
        }
        for (JsonNode child : part) {
            walk(child);
        }
    }
}
