package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/** A tokenizer.json for a byte-level BPE vocabulary, as GPT-2, Llama 3, SmolLM, Qwen and Mistral's tekken have it. */
final class ByteLevelJson {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    private ByteLevelJson() {}

    /**
     * One that puts nothing around a text.
     *
     * @param pieces by id, in GPT-2's alphabet for bytes
     * @param merges pairs separated by a space, the first one merged first
     * @param spaceInFront whether a text is encoded as if it began with a space
     */
    static ObjectNode of(List<Piece> pieces, List<String> merges, PreTokenizer cut, boolean spaceInFront) {
        ObjectNode json = JSON.objectNode();
        json.put("version", "1.0").putNull("truncation").putNull("padding");
        ArrayNode added = json.putArray("added_tokens");
        ObjectNode vocabulary = JSON.objectNode();
        for (int id = 0; id < pieces.size(); id++) {
            Piece piece = pieces.get(id);
            piece.added(id).ifPresent(token -> added.add(token.json()));
            vocabulary.put(piece.text(), id);
        }
        json.set("normalizer", cut.composed() ? JSON.objectNode().put("type", "NFC") : JSON.nullNode());
        json.set("pre_tokenizer", cut.json(spaceInFront));
        json.putNull("post_processor");
        json.set("decoder", PreTokenizer.byteLevel(true, false));
        ObjectNode model =
                json.putObject("model").put("type", "BPE").putNull("dropout").putNull("unk_token");
        model.putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
        model.put("fuse_unk", false).put("byte_fallback", false).put("ignore_merges", cut.wholeWords());
        model.set("vocab", vocabulary);
        ArrayNode pairs = model.putArray("merges");
        merges.forEach(pairs::add);
        return json;
    }
}
