package nibble.convert.vocabulary;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** A tokenizer.json for a byte-level BPE vocabulary, as GPT-2, Llama 3, SmolLM and Qwen have it. */
public final class ByteLevelJson {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    /** The expression that splits text before merging, by GGUF's name for it; empty for GPT-2's own. */
    private static final Map<String, String> SPLITS = new TreeMap<>(Map.of(
            "default", "",
            "gpt-2", "",
            "smollm", "",
            "qwen2",
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
                    + "|\\s+(?!\\S)|\\s+",
            "llama-bpe",
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
                    + "|\\s+(?!\\S)|\\s+"));

    private ByteLevelJson() {}

    /** GGUF's names of the supported ways to split text. */
    public static List<String> splits() {
        return List.copyOf(SPLITS.keySet());
    }

    /** The name of the way that a tokenizer.json splits text by this expression. */
    public static Optional<String> splitNamed(String expression) {
        return SPLITS.entrySet().stream()
                .filter(entry -> !entry.getValue().isEmpty() && entry.getValue().equals(expression))
                .map(Map.Entry::getKey)
                .findFirst();
    }

    /**
     * @param pieces by id, in GPT-2's alphabet for bytes
     * @param merges pairs separated by a space, the first one merged first
     * @param split GGUF's name for the way to split text
     * @param bosId id put in front of every text, or -1 for none
     * @return nothing where {@code split} is not supported
     */
    public static Optional<ObjectNode> of(List<Piece> pieces, List<String> merges, String split, int bosId) {
        String expression = SPLITS.get(split);
        if (expression == null) {
            return Optional.empty();
        }
        ObjectNode json = JSON.objectNode();
        json.put("version", "1.0").putNull("truncation").putNull("padding");
        ArrayNode added = json.putArray("added_tokens");
        ObjectNode vocabulary = JSON.objectNode();
        for (int id = 0; id < pieces.size(); id++) {
            Piece piece = pieces.get(id);
            if (piece.kind() != Piece.Kind.NORMAL) {
                added.add(SentencePieceJson.addedToken(id, piece.text(), piece.kind() == Piece.Kind.CONTROL));
            }
            vocabulary.put(piece.text(), id);
        }
        json.set("normalizer", split.equals("qwen2") ? JSON.objectNode().put("type", "NFC") : JSON.nullNode());
        ObjectNode before = json.putObject("pre_tokenizer").put("type", "Sequence");
        ArrayNode steps = before.putArray("pretokenizers");
        if (split.equals("smollm")) {
            steps.addObject().put("type", "Digits").put("individual_digits", true);
        } else if (!expression.isEmpty()) {
            ObjectNode step = steps.addObject().put("type", "Split");
            step.putObject("pattern").put("Regex", expression);
            step.put("behavior", "Isolated").put("invert", false);
        }
        steps.add(byteLevel(expression.isEmpty()));
        json.set("post_processor", bosId < 0
                ? JSON.nullNode()
                : SentencePieceJson.bosInFront(pieces.get(bosId).text(), bosId));
        json.set("decoder", byteLevel(true));
        ObjectNode model = json.putObject("model").put("type", "BPE").putNull("dropout").putNull("unk_token");
        model.putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
        // Llama 3 takes a whole word that is a token as that token, whatever its merges.
        model.put("fuse_unk", false).put("byte_fallback", false).put("ignore_merges", split.equals("llama-bpe"));
        model.set("vocab", vocabulary);
        ArrayNode pairs = model.putArray("merges");
        merges.forEach(pairs::add);
        return Optional.of(json);
    }

    private static ObjectNode byteLevel(boolean splits) {
        return JSON.objectNode()
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", splits);
    }
}
