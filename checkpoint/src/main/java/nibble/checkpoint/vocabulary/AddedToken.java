package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * A token that text is searched for before anything else is done with it.
 *
 * @param id its id, or -1 where a file names it by its text alone
 * @param special whether it is left out of decoded text
 * @param normalized whether it is looked for in normalized text
 * @param leftStrip whether it takes the spaces before it; {@code rightStrip}, those behind it
 */
record AddedToken(
        int id,
        String text,
        boolean special,
        boolean normalized,
        boolean leftStrip,
        boolean rightStrip,
        boolean singleWord) {
    /** A control token named by its text. */
    static AddedToken special(int id, String text) {
        return new AddedToken(id, text, true, false, false, false, false);
    }

    /** As files write it: its text, or an object of its text and properties. */
    static AddedToken of(int id, JsonNode token, boolean specialIfText) {
        if (!token.isObject()) {
            return new AddedToken(id, token.asText(""), specialIfText, !specialIfText, false, false, false);
        }
        boolean special = token.path("special").asBoolean(specialIfText);
        return new AddedToken(
                id,
                token.path("content").asText(""),
                special,
                token.path("normalized").asBoolean(!special),
                token.path("lstrip").asBoolean(),
                token.path("rstrip").asBoolean(),
                token.path("single_word").asBoolean());
    }

    AddedToken asSpecial() {
        return new AddedToken(id, text, true, normalized, leftStrip, rightStrip, singleWord);
    }

    AddedToken withId(int newId) {
        return new AddedToken(newId, text, special, normalized, leftStrip, rightStrip, singleWord);
    }

    /** An entry of a tokenizer.json's {@code added_tokens}. */
    ObjectNode json() {
        return JsonNodeFactory.instance
                .objectNode()
                .put("id", id)
                .put("content", text)
                .put("single_word", singleWord)
                .put("lstrip", leftStrip)
                .put("rstrip", rightStrip)
                .put("normalized", normalized)
                .put("special", special);
    }
}
