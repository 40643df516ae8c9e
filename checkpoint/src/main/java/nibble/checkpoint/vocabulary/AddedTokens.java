package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

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
        int id = idOf(vocabulary, token.text());
        if (idHolds
                && token.id() >= 0
                && id != token.id()
                && vocabulary instanceof ObjectNode ids
                && giveWay(ids, token.id())) {
            // The library numbers tokens outside the vocabulary itself, so this one is put into it.
            id = token.id();
            ids.put(token.text(), id);
        }
        if (id < 0) {
            int size = vocabulary.size();
            id = largest >= size ? largest + 1 : size;
        }
        ObjectNode entry = token.withId(id).json();
        added.add(entry);
        byText.put(token.text(), entry);
        largest = Math.max(largest, id);
        changed = true;
    }

    /** Makes room at an id where there is none or a placeholder, which merges do not need. */
    private boolean giveWay(ObjectNode ids, int id) {
        @Nullable String there = null;
        for (Map.Entry<String, JsonNode> entry : ids.properties()) {
            there = entry.getValue().asInt(-1) == id ? entry.getKey() : there;
        }
        if (there == null) {
            return true;
        }
        for (JsonNode merge : json.at("/model/merges")) {
            String left =
                    merge.isArray() ? merge.path(0).asText() : merge.asText().replaceFirst(" .*", "");
            String right =
                    merge.isArray() ? merge.path(1).asText() : merge.asText().replaceFirst(".* ", "");
            if (there.equals(left) || there.equals(right) || there.equals(left + right)) {
                return false;
            }
        }
        ids.remove(there);
        for (Iterator<JsonNode> found = added.elements(); found.hasNext(); ) {
            if (found.next().path("content").asText().equals(there)) {
                found.remove();
            }
        }
        byText.remove(there);
        return true;
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
