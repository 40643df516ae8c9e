package nibble.convert.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/** Brings tokens that other files name into a tokenizer.json, as transformers does on loading it. */
final class AddedTokens {
    private final ObjectNode json;
    private final JsonNode vocabulary;
    private final ArrayNode added;
    private final Map<String, ObjectNode> byText = new HashMap<>();
    private boolean changed;
    private int largest = -1;

    private AddedTokens(ObjectNode json) {
        this.json = json;
        this.vocabulary = json.at("/model/vocab");
        this.added = json.path("added_tokens") instanceof ArrayNode array ? array : json.putArray("added_tokens");
        for (JsonNode token : added) {
            if (token instanceof ObjectNode object) {
                byText.put(token.path("content").asText(), object);
                largest = Math.max(largest, token.path("id").asInt(-1));
            }
        }
    }

    /**
     * @param withIds tokens whose ids the files give
     * @param special tokens that are special whatever else is said of them
     * @param made whether the JSON was made of files without added tokens, so that the given ids hold
     * @return whether anything changed
     */
    static boolean merge(ObjectNode json, List<AddedToken> withIds, List<AddedToken> special, boolean made) {
        AddedTokens tokens = new AddedTokens(json);
        for (AddedToken token : withIds) {
            tokens.add(token, made);
        }
        for (AddedToken token : special) {
            tokens.add(token, false);
        }
        return tokens.changed;
    }

    private void add(AddedToken token, boolean idHolds) {
        if (token.text().isEmpty()) {
            return;
        }
        ObjectNode known = byText.get(token.text());
        if (known != null) {
            if (token.special() && !known.path("special").asBoolean()) {
                known.put("special", true);
                changed = true;
            }
            return;
        }
        int id = idHolds && token.id() >= 0 ? token.id() : idOf(token.text());
        if (id < 0) {
            int size = vocabulary.size();
            id = largest >= size ? largest + 1 : size;
        }
        if (idHolds && json.at("/model/vocab") instanceof ObjectNode ids && ids.path(token.text()).asInt(-1) != id) {
            // The library numbers tokens outside the vocabulary itself; a placeholder there gives way.
            for (Iterator<JsonNode> found = ids.elements(); found.hasNext(); ) {
                if (found.next().asInt(-1) == id) {
                    found.remove();
                }
            }
            ids.put(token.text(), id);
        }
        ObjectNode entry = token.withId(id).json();
        added.add(entry);
        byText.put(token.text(), entry);
        largest = Math.max(largest, id);
        changed = true;
    }

    private int idOf(String text) {
        return idOf(vocabulary, text);
    }

    /** The id of a text in a tokenizer.json's {@code model.vocab}, or -1. */
    static int idOf(JsonNode vocabulary, String text) {
        if (vocabulary.isObject()) {
            return vocabulary.path(text).asInt(-1);
        }
        int id = 0;
        for (JsonNode piece : vocabulary) {
            if (piece.path(0).asText().equals(text)) {
                return id;
            }
            id++;
        }
        return -1;
    }
}
