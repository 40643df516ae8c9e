package nibble.checkpoint.vocabulary;

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
 * A tokenizer.json for a SentencePiece BPE vocabulary with byte fallback, as Llama 1 and 2 have it. SentencePiece
 * merges the pair whose whole has the best score; a tokenizer.json lists pairs in order. So every way to cut a piece
 * into two pieces is listed, by the score of the whole, as transformers' own converter does.
 */
final class SentencePieceJson {
    static final String SPACE = "▁";
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    private SentencePieceJson() {}

    private record Merge(String left, String right, float score) {}

    /** Where a space is put that the text does not have. */
    enum Space {
        NONE,
        /**
         * Before each part of a text between special tokens, as SentencePiece, llama.cpp and transformers' "legacy"
         * have it.
         */
        EACH_PART,
        /** Before a text that does not begin with one or with a special token. */
        TEXT
    }

    /**
     * One that puts nothing around a text.
     *
     * @param pieces by id
     * @param merges pairs separated by a space, the first one merged first; none to find them by the pieces' scores
     */
    static ObjectNode of(List<Piece> pieces, List<String> merges, Space space) {
        ObjectNode json = JSON.objectNode();
        json.put("version", "1.0").putNull("truncation").putNull("padding");
        json.set("added_tokens", addedTokens(pieces));
        json.set("normalizer", space == Space.TEXT ? JSON.nullNode() : normalizer(space == Space.EACH_PART));
        json.set("pre_tokenizer", space == Space.TEXT ? spaceFirst() : JSON.nullNode());
        json.putNull("post_processor");
        json.set("decoder", decoder(space != Space.NONE));
        json.set("model", model(pieces, merges));
        return json;
    }

    private static ArrayNode addedTokens(List<Piece> pieces) {
        ArrayNode added = JSON.arrayNode();
        for (int id = 0; id < pieces.size(); id++) {
            pieces.get(id).added(id).ifPresent(token -> added.add(token.json()));
        }
        return added;
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

    private static ObjectNode spaceFirst() {
        return JSON.objectNode()
                .put("type", "Metaspace")
                .put("replacement", SPACE)
                .put("prepend_scheme", "first")
                .put("split", false);
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
            steps.addObject()
                    .put("type", "Strip")
                    .put("content", " ")
                    .put("start", 1)
                    .put("stop", 0);
        }
        return sequence;
    }

    private static ObjectNode model(List<Piece> pieces, List<String> given) {
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
        for (String merge : given) {
            // A piece may be a space, which the pair begins with then.
            int space = Math.max(merge.indexOf(' ', 1), 0);
            merges.addArray().add(merge.substring(0, space)).add(merge.substring(space + 1));
        }
        for (Merge merge : given.isEmpty() ? merges(pieces) : List.<Merge>of()) {
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
