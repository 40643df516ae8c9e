package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * Describes the meaning of a checkpoint's tokenizer, found out once from whichever files there are ({@link #ofFolder})
 * or from a GGUF file's metadata: the engine, calibration, evaluation, templates and conversions all go by it.
 *
 * @param source where it comes from, for messages
 * @param json a tokenizer.json with every added and special token and with the post-processor that holds
 * @param tokenizerJson {@code json}, as bytes
 * @param names texts of special tokens by their roles' names, as {@code bos_token}
 * @param stopIds ids that end a text or a turn; config.json and generation_config.json may name more
 * @param eotId the id that ends a turn, where it is not the one that ends a text; else -1
 * @param madeFiles side files that the checkpoint lacks in this form, by name
 */
public record TokenizerDescription(
        Path source,
        ObjectNode json,
        byte[] tokenizerJson,
        SequencedMap<String, String> names,
        SortedSet<Integer> stopIds,
        int eotId,
        SequencedMap<String, byte[]> madeFiles) {
    public TokenizerDescription {
        names = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(names));
        stopIds = Collections.unmodifiableSortedSet(new TreeSet<>(stopIds));
        madeFiles = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(madeFiles));
    }

    /**
     * Returns the tokenizer of a folder that holds its files: tokenizer.json, tekken.json, tokenizer.model, or
     * vocab.json and merges.txt.
     *
     * @return nothing if Nibble reads none of the kinds that are there
     * @throws nibble.checkpoint.source.BadCheckpointException if one of them, or of the files that go with it, is
     *     damaged
     */
    public static Optional<TokenizerDescription> ofFolder(Path folder) {
        return new TokenizerFolder(folder).read();
    }

    /** Returns the text of a special token, as {@code bos_token}; empty where there is none. */
    public String text(String name) {
        return names.getOrDefault(name, "");
    }

    /** Returns the id of the token that a role names, as {@code bos_token}, or -1. */
    public int id(String name) {
        String text = text(name);
        return text.isEmpty() ? -1 : idOf(text);
    }

    /** Returns the id of a token of this very text, or -1. */
    public int idOf(String text) {
        return idOf(json, text);
    }

    static int idOf(ObjectNode json, String text) {
        for (JsonNode token : json.path("added_tokens")) {
            if (token.path("content").asText().equals(text)) {
                return token.path("id").asInt(-1);
            }
        }
        return AddedTokens.idOf(json.at("/model/vocab"), text);
    }

    /** Returns the ids put in front of every text. */
    public List<Integer> leadingIds() {
        return PostProcessor.of(json.path("post_processor")).leading().stream()
                .filter(id -> id >= 0)
                .toList();
    }

    /** Returns the ids put behind every text. */
    public List<Integer> trailingIds() {
        return PostProcessor.of(json.path("post_processor")).trailing().stream()
                .filter(id -> id >= 0)
                .toList();
    }

    /** Returns whether a text is encoded as if it began with a space. */
    public boolean spaceInFront() {
        return SpaceInFront.of(json);
    }

    /** Returns the texts of all tokens by id. */
    public Map<Integer, String> texts() {
        Map<Integer, String> texts = new HashMap<>();
        JsonNode vocabulary = json.at("/model/vocab");
        if (vocabulary.isObject()) {
            vocabulary.properties().forEach(entry -> texts.put(entry.getValue().asInt(-1), entry.getKey()));
        } else {
            for (JsonNode piece : vocabulary) {
                texts.put(texts.size(), piece.path(0).asText());
            }
        }
        for (JsonNode token : json.path("added_tokens")) {
            texts.put(token.path("id").asInt(-1), token.path("content").asText());
        }
        return texts;
    }

    /**
     * Counts the tokens beyond the rows of an embedding.
     *
     * @param added texts of added tokens there: loaders accept them, and no text holds them unasked
     * @param largest the largest id of all
     * @param vocabulary whether pieces of the vocabulary itself lie there, so that it is another model's
     */
    public record Beyond(List<String> added, int largest, boolean vocabulary) {
        /** Returns a note for a user where they are added tokens alone. */
        public String words(int rows) {
            return "the tokenizer has " + String.join(", ", added.subList(0, Math.min(3, added.size())))
                    + (added.size() > 3 ? " and " + (added.size() - 3) + " more" : "") + " beyond the " + rows
                    + " rows of the embedding; a text that holds such a token cannot be read";
        }
    }

    /** Finds the tokens with ids of at least {@code rows}, or nothing where there are none. */
    public Optional<Beyond> beyond(int rows) {
        Map<Integer, String> added = new HashMap<>();
        for (JsonNode token : json.path("added_tokens")) {
            added.put(token.path("id").asInt(-1), token.path("content").asText());
        }
        List<Integer> ids = texts().keySet().stream()
                .filter(id -> id < 0 || id >= rows)
                .sorted()
                .toList();
        return ids.isEmpty()
                ? Optional.empty()
                : Optional.of(new Beyond(
                        ids.stream().filter(added::containsKey).map(added::get).toList(),
                        ids.getLast(),
                        !added.keySet().containsAll(ids)));
    }

    /** A tokenizer_config.json for a tokenizer that has none. */
    static ObjectNode config(Map<String, String> names, boolean addBos, boolean addEos) {
        ObjectNode config = JsonNodeFactory.instance.objectNode();
        config.put("add_bos_token", addBos).put("add_eos_token", addEos);
        names.forEach(config::put);
        return config.put("clean_up_tokenization_spaces", false).put("tokenizer_class", "PreTrainedTokenizerFast");
    }
}
