package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Stream;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.vocabulary.SentencePieceJson.Space;

/**
 * Holds all that GGUF's metadata says of a tokenizer.
 *
 * @param model {@code llama} for SentencePiece, {@code gpt2} for byte-level BPE
 * @param split GGUF's name for the way to split text before merging
 * @param pieces by id, as many as the model's embedding has rows
 * @param merges pairs separated by a space: of byte-level BPE, and of SentencePiece where the file lists them beside
 *     its scores
 * @param bosId id of the token that begins a text, or -1; {@code eosId}, {@code unknownId} and {@code paddingId}
 *     likewise
 * @param eotId id of the token that ends a turn, where it is another than {@code eosId}; else -1
 * @param addBos whether a text is encoded with the BOS in front
 * @param spaceInFront whether a text is encoded as if it began with a space
 * @param stated what its files say in so many words
 */
public record Vocabulary(
        String model,
        String split,
        List<Piece> pieces,
        List<String> merges,
        int bosId,
        int eosId,
        int eotId,
        int unknownId,
        int paddingId,
        boolean addBos,
        boolean addEos,
        boolean spaceInFront,
        StatedFlags stated,
        ChatTemplates chatTemplates) {
    /** SentencePiece, in GGUF's word. */
    public static final String SENTENCE_PIECE = "llama";

    /** Byte-level BPE, in GGUF's word. */
    public static final String BYTE_LEVEL = "gpt2";

    /** Texts by which llama.cpp knows the token that ends a turn, where the file does not say. */
    private static final List<String> ENDS_OF_TURN = List.of(
            "<|eot_id|>",
            "<|im_end|>",
            "<|end|>",
            "<end_of_turn>",
            "<|endoftext|>",
            "<|end_of_text|>",
            "<EOT>",
            "_<EOT>",
            "[EOT]",
            "<｜end▁of▁sentence｜>",
            "<end_of_utterance>");

    /** Further texts at which it stops. */
    private static final Set<String> STOPS = Set.of(
            "</s>",
            "<|eom_id|>",
            "<eos>",
            "[EOS]",
            "<|return|>",
            "<|call|>",
            "<|calls|>",
            "<|flush|>",
            "<turn|>",
            "<|tool_response>",
            "[e~[",
            "<|fim_pad|>",
            "<|repo_name|>",
            "<|file_sep|>");

    public Vocabulary {
        pieces = List.copyOf(pieces);
        merges = List.copyOf(merges);
    }

    /** Returns whether llama.cpp puts a BOS in front where {@code tokenizer.ggml.add_bos_token} is absent. */
    public static boolean addsBosUnasked(String model, String split) {
        return model.equals(SENTENCE_PIECE)
                || PreTokenizer.named(split).map(PreTokenizer::bos).orElse(false);
    }

    /** Returns whether llama.cpp stops at a token of this text, whatever else the file says. */
    public static boolean isKnownStop(String text) {
        return ENDS_OF_TURN.contains(text) || STOPS.contains(text);
    }

    /**
     * Returns its meaning to everything else.
     *
     * @param file where it comes from
     * @param takesSpaces whether special tokens take the spaces behind them, as Phi-3's do, which metadata has no word
     *     for
     * @throws BadCheckpointException if text is split in a way that is not known here
     */
    public TokenizerDescription description(Path file, Optional<Long> contextLength, boolean takesSpaces) {
        ObjectNode json;
        if (model.equals(SENTENCE_PIECE)) {
            json = SentencePieceJson.of(pieces, merges, spaceInFront ? Space.EACH_PART : Space.NONE);
        } else {
            PreTokenizer cut = PreTokenizer.named(split)
                    .orElseThrow(() -> new BadCheckpointException(
                            file,
                            "tokenizer.ggml.pre \"" + split + "\" is not supported; supported: "
                                    + String.join(", ", PreTokenizer.names())));
            json = ByteLevelJson.of(pieces, merges, cut, spaceInFront);
        }
        if (takesSpaces) {
            takeSpaces(json);
        }
        SequencedMap<String, String> names = new LinkedHashMap<>();
        name(names, "bos_token", bosId);
        name(names, "eos_token", eosId);
        name(names, "unk_token", unknownId);
        name(names, "pad_token", paddingId);
        json.set(
                "post_processor",
                PostProcessor.json(
                        names.getOrDefault("bos_token", ""), addBos ? bosId : -1,
                        names.getOrDefault("eos_token", ""), addEos ? eosId : -1));
        byte[] bytes = TokenizerJsonFile.bytes(json);
        Map<String, Integer> stops = stops();
        int turn = endOfTurn(stops);
        SequencedMap<String, byte[]> files = new LinkedHashMap<>();
        files.put("tokenizer.json", bytes);
        ObjectNode config = TokenizerDescription.config(names, addBos, addEos);
        stated.putInto(config, model.equals(BYTE_LEVEL));
        contextLength.ifPresent(length -> config.put("model_max_length", length));
        chatTemplates.putInto(config);
        files.put("tokenizer_config.json", config.toPrettyString().getBytes(StandardCharsets.UTF_8));
        if (turn >= 0) {
            files.put(
                    "generation_config.json", generation(turn).toPrettyString().getBytes(StandardCharsets.UTF_8));
        }
        return new TokenizerDescription(file, json, bytes, names, stopIds(stops, turn), turn, files);
    }

    private static void takeSpaces(ObjectNode json) {
        for (JsonNode token : json.path("added_tokens")) {
            if (!Set.of("<unk>", "<s>", "<|endoftext|>")
                    .contains(token.path("content").asText())) {
                ((ObjectNode) token).put("rstrip", true);
            }
        }
    }

    private void name(SequencedMap<String, String> names, String name, int id) {
        if (id >= 0) {
            names.put(name, pieces.get(id).text());
        }
    }

    /** As llama.cpp finds it: the file's own, else by its text. */
    private int endOfTurn(Map<String, Integer> stops) {
        int found = eotId;
        for (int at = ENDS_OF_TURN.size() - 1; at >= 0 && eotId < 0; at--) {
            found = stops.getOrDefault(ENDS_OF_TURN.get(at), found);
        }
        return found == eosId ? -1 : found;
    }

    private SortedSet<Integer> stopIds(Map<String, Integer> stops, int turn) {
        SortedSet<Integer> ids = new TreeSet<>(stops.values());
        Stream.of(eosId, turn).filter(id -> id >= 0).forEach(ids::add);
        return ids;
    }

    /** The ids at whose texts llama.cpp stops, whatever else the file says. */
    private Map<String, Integer> stops() {
        Map<String, Integer> stops = new HashMap<>();
        for (int id = 0; id < pieces.size(); id++) {
            if (isKnownStop(pieces.get(id).text())) {
                stops.put(pieces.get(id).text(), id);
            }
        }
        Set<String> texts = Set.copyOf(stops.keySet());
        // Of gpt-oss and Solar Open, this one ends a message and not a turn.
        if (texts.containsAll(Set.of("<|return|>", "<|call|>"))
                || texts.contains("<|flush|>") && (texts.contains("<|call|>") || texts.contains("<|calls|>"))) {
            stops.remove("<|end|>");
        }
        if (texts.contains("<|tool_response>")) {
            stops.remove("</s>");
        }
        return stops;
    }

    private ObjectNode generation(int turn) {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        if (bosId >= 0) {
            json.put("bos_token_id", bosId);
        }
        List<Integer> ends = new ArrayList<>(eosId >= 0 ? List.of(eosId, turn) : List.of(turn));
        ends.forEach(json.putArray("eos_token_id")::add);
        if (paddingId >= 0) {
            json.put("pad_token_id", paddingId);
        }
        return json;
    }
}
