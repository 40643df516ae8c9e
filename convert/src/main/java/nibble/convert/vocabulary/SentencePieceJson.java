package nibble.convert.vocabulary;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A tokenizer.json for a SentencePiece BPE vocabulary with byte fallback, as Llama 1 and 2 have it. SentencePiece merges the
 * pair whose whole has the best score; a tokenizer.json lists pairs in order. So every way to cut a piece into two pieces is
 * listed, by the score of the whole, as transformers' own converter does.
 */
public final class SentencePieceJson {
    private static final String SPACE = "▁";
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    private SentencePieceJson() {}

    private record Merge(String left, String right, float score) {}

    /**
     * @param pieces by id
     * @param bosId id put in front of every text, or -1 for none
     * @param spaceInFront whether a text is encoded as if it began with a space
     */
    public static ObjectNode of(List<Piece> pieces, int bosId, boolean spaceInFront) {
        ObjectNode json = JSON.objectNode();
        json.put("version", "1.0").putNull("truncation").putNull("padding");
        json.set("added_tokens", addedTokens(pieces));
        json.set("normalizer", normalizer(spaceInFront));
        json.putNull("pre_tokenizer");
        json.set("post_processor", bosId < 0 ? JSON.nullNode() : bosInFront(pieces.get(bosId).text(), bosId));
        json.set("decoder", decoder(spaceInFront));
        json.set("model", model(pieces));
        return json;
    }

    private static ArrayNode addedTokens(List<Piece> pieces) {
        ArrayNode added = JSON.arrayNode();
        for (int id = 0; id < pieces.size(); id++) {
            Piece piece = pieces.get(id);
            boolean special = piece.kind() == Piece.Kind.UNKNOWN || piece.kind() == Piece.Kind.CONTROL;
            if (special || piece.kind() == Piece.Kind.USER_DEFINED) {
                added.add(addedToken(id, piece.text(), special));
            }
        }
        return added;
    }

    static ObjectNode addedToken(int id, String text, boolean special) {
        return JSON.objectNode()
                .put("id", id)
                .put("content", text)
                .put("single_word", false)
                .put("lstrip", false)
                .put("rstrip", false)
                .put("normalized", false)
                .put("special", special);
    }

    private static ObjectNode normalizer(boolean spaceInFront) {
        ObjectNode replace = JSON.objectNode().put("type", "Replace");
        replace.putObject("pattern").put("String", " ");
        replace.put("content", SPACE);
        ObjectNode sequence = JSON.objectNode().put("type", "Sequence");
        ArrayNode steps = sequence.putArray("normalizers");
        if (spaceInFront) {
            steps.addObject().put("type", "Prepend").put("prepend", SPACE);
        }
        steps.add(replace);
        return sequence;
    }

    static ObjectNode bosInFront(String bos, int bosId) {
        ObjectNode template = JSON.objectNode().put("type", "TemplateProcessing");
        for (String form : new String[] {"single", "pair"}) {
            ArrayNode parts = template.putArray(form);
            for (String sequence : form.equals("single") ? new String[] {"A"} : new String[] {"A", "B"}) {
                int type = sequence.equals("A") ? 0 : 1;
                parts.addObject().putObject("SpecialToken").put("id", bos).put("type_id", type);
                parts.addObject().putObject("Sequence").put("id", sequence).put("type_id", type);
            }
        }
        ObjectNode token = template.putObject("special_tokens").putObject(bos).put("id", bos);
        token.putArray("ids").add(bosId);
        token.putArray("tokens").add(bos);
        return template;
    }

    private static ObjectNode decoder(boolean spaceInFront) {
        ObjectNode sequence = JSON.objectNode().put("type", "Sequence");
        ArrayNode steps = sequence.putArray("decoders");
        ObjectNode replace = steps.addObject().put("type", "Replace");
        replace.putObject("pattern").put("String", SPACE);
        replace.put("content", " ");
        steps.addObject().put("type", "ByteFallback");
        steps.addObject().put("type", "Fuse");
        if (spaceInFront) {
            steps.addObject().put("type", "Strip").put("content", " ").put("start", 1).put("stop", 0);
        }
        return sequence;
    }

    private static ObjectNode model(List<Piece> pieces) {
        ObjectNode model = JSON.objectNode().put("type", "BPE").putNull("dropout");
        @Nullable String unknown = null;
        ObjectNode vocabulary = JSON.objectNode();
        for (int id = 0; id < pieces.size(); id++) {
            vocabulary.put(pieces.get(id).text(), id);
            if (pieces.get(id).kind() == Piece.Kind.UNKNOWN) {
                unknown = pieces.get(id).text();
            }
        }
        model.put("unk_token", unknown).putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
        model.put("fuse_unk", true).put("byte_fallback", true).put("ignore_merges", false);
        model.set("vocab", vocabulary);
        ArrayNode merges = model.putArray("merges");
        for (Merge merge : merges(pieces)) {
            merges.addArray().add(merge.left()).add(merge.right());
        }
        return model;
    }

    private static List<Merge> merges(List<Piece> pieces) {
        Map<String, Integer> ids = new HashMap<>();
        for (int id = 0; id < pieces.size(); id++) {
            ids.put(pieces.get(id).text(), id);
        }
        List<Merge> merges = new ArrayList<>();
        for (Piece piece : pieces) {
            if (piece.kind() != Piece.Kind.NORMAL) {
                continue;
            }
            List<Merge> cuts = new ArrayList<>();
            String text = piece.text();
            for (int cut = text.offsetByCodePoints(0, Math.min(1, text.codePointCount(0, text.length())));
                    cut < text.length();
                    cut = text.offsetByCodePoints(cut, 1)) {
                String left = text.substring(0, cut);
                String right = text.substring(cut);
                if (ids.containsKey(left) && ids.containsKey(right)) {
                    cuts.add(new Merge(left, right, piece.score()));
                }
            }
            cuts.sort(Comparator.<Merge>comparingInt(cut -> ids.getOrDefault(cut.left(), 0))
                    .thenComparingInt(cut -> ids.getOrDefault(cut.right(), 0)));
            merges.addAll(cuts);
        }
        // Stable, so that pieces of one score stay in the order of their ids.
        merges.sort(Comparator.<Merge>comparingDouble(Merge::score).reversed());
        return merges;
    }
}
