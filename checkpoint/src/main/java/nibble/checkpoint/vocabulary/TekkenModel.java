package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.TreeMap;
import nibble.checkpoint.source.BadCheckpointException;

/**
 * Mistral's tekken.json: byte strings by rank, the expression that cuts text, and special tokens, which take the first
 * ids.
 *
 * @param special by id, from 0 on
 * @param tokens in the letters of {@link ByteAlphabet}; the ids follow the special ones
 */
record TekkenModel(List<String> special, List<String> tokens, String expression) {
    private static final int MAX_IDS = 1 << 22;

    /** Those of files that list none, which the first versions did not. */
    private static final List<String> FIRST_SPECIAL = List.of(
            "<unk>",
            "<s>",
            "</s>",
            "[INST]",
            "[/INST]",
            "[AVAILABLE_TOOLS]",
            "[/AVAILABLE_TOOLS]",
            "[TOOL_RESULTS]",
            "[/TOOL_RESULTS]",
            "[TOOL_CALLS]",
            "[IMG]",
            "<pad>",
            "[IMG_BREAK]",
            "[IMG_END]",
            "[PREFIX]",
            "[MIDDLE]",
            "[SUFFIX]",
            "[SYSTEM_PROMPT]",
            "[/SYSTEM_PROMPT]",
            "[TOOL_CONTENT]");

    TekkenModel {
        special = List.copyOf(special);
        tokens = List.copyOf(tokens);
    }

    /** @throws BadCheckpointException if the file is none of these */
    static TekkenModel read(Path file, JsonNode json) {
        String expression = json.at("/config/pattern").asText("");
        if (expression.isEmpty() || !json.path("vocab").isArray()) {
            throw bad(file, "no config.pattern or no list \"vocab\"");
        }
        List<String> special = special(file, json);
        int all = json.at("/config/default_vocab_size")
                .asInt(special.size() + json.path("vocab").size());
        List<String> tokens = new ArrayList<>();
        for (JsonNode token : json.path("vocab")) {
            // Files hold more tokens than the model has rows for.
            if (special.size() + tokens.size() >= all) {
                break;
            }
            if (token.path("rank").asInt(-1) != tokens.size()) {
                throw bad(
                        file,
                        "vocab entry " + tokens.size() + " has rank " + token.path("rank") + ", expected its place");
            }
            tokens.add(bytes(file, token, tokens.size()));
        }
        return new TekkenModel(special, tokens, expression);
    }

    private static String bytes(Path file, JsonNode token, int rank) {
        byte[] bytes;
        try {
            bytes = Base64.getDecoder().decode(token.path("token_bytes").asText(""));
        } catch (IllegalArgumentException e) {
            throw bad(file, "vocab entry " + rank + " has token_bytes that are no base64");
        }
        if (bytes.length == 0 || bytes.length > RankedTokens.MAX_TOKEN_BYTES) {
            throw bad(
                    file,
                    "vocab entry " + rank + " has " + bytes.length + " bytes, expected 1 to "
                            + RankedTokens.MAX_TOKEN_BYTES);
        }
        return ByteAlphabet.of(bytes);
    }

    private static List<String> special(Path file, JsonNode json) {
        TreeMap<Integer, String> byId = new TreeMap<>();
        for (JsonNode token : json.path("special_tokens")) {
            byId.put(token.path("rank").asInt(-1), token.path("token_str").asText(""));
        }
        if (byId.isEmpty()) {
            for (String text : FIRST_SPECIAL) {
                byId.put(byId.size(), text);
            }
        }
        int count = json.at("/config/default_num_special_tokens").asInt(byId.lastKey() + 1);
        if (byId.firstKey() < 0 || count <= byId.lastKey() || count > MAX_IDS) {
            throw bad(file, count + " special tokens with ranks from " + byId.firstKey() + " to " + byId.lastKey());
        }
        List<String> special = new ArrayList<>();
        for (int id = 0; id < count; id++) {
            special.add(byId.getOrDefault(id, "<SPECIAL_" + id + ">"));
        }
        return special;
    }

    private static BadCheckpointException bad(Path file, String what) {
        return new BadCheckpointException(file, what + "; get the file again");
    }
}
