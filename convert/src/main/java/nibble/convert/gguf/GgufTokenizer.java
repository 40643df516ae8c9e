package nibble.convert.gguf;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import nibble.convert.BadCheckpointException;
import nibble.convert.vocabulary.ByteLevelJson;
import nibble.convert.vocabulary.Piece;
import nibble.convert.vocabulary.SentencePieceJson;

/** The tokenizer in a GGUF file's metadata, as tokenizer.json and tokenizer_config.json. */
final class GgufTokenizer {
    private GgufTokenizer() {}

    static SequencedMap<String, byte[]> files(GgufMetadata metadata) {
        SequencedMap<String, byte[]> files = new LinkedHashMap<>();
        String model = metadata.text("tokenizer.ggml.model").orElse("none");
        List<Piece> pieces = pieces(metadata);
        boolean sentencePiece = model.equals("llama");
        if (pieces.isEmpty() || !sentencePiece && !model.equals("gpt2")) {
            // The weights are of use without it; who needs text says what is missing.
            return files;
        }
        // Defaults of llama.cpp: SentencePiece vocabularies add a BOS and a space in front, the others neither.
        int bos = id(metadata, "tokenizer.ggml.bos_token_id", pieces.size());
        boolean addBos = bos >= 0 && metadata.flag("tokenizer.ggml.add_bos_token").orElse(sentencePiece);
        ObjectNode json;
        if (sentencePiece) {
            boolean space = metadata.flag("tokenizer.ggml.add_space_prefix").orElse(true);
            json = SentencePieceJson.of(pieces, addBos ? bos : -1, space);
        } else {
            String split = metadata.text("tokenizer.ggml.pre").orElse("default");
            List<String> merges = metadata.list("tokenizer.ggml.merges", String.class);
            json = ByteLevelJson.of(pieces, merges, split, addBos ? bos : -1)
                    .orElseThrow(() -> new BadCheckpointException(
                            metadata.file(), "tokenizer.ggml.pre \"" + split + "\" is not supported; supported: "
                                    + ByteLevelJson.splits()));
        }
        files.put("tokenizer.json", json.toString().getBytes(StandardCharsets.UTF_8));
        files.put("tokenizer_config.json", config(metadata, pieces, addBos).toPrettyString().getBytes(StandardCharsets.UTF_8));
        return files;
    }

    private static List<Piece> pieces(GgufMetadata metadata) {
        List<String> tokens = metadata.list("tokenizer.ggml.tokens", String.class);
        List<Double> scores = metadata.list("tokenizer.ggml.scores", Double.class);
        List<Long> types = metadata.list("tokenizer.ggml.token_type", Long.class);
        if (!scores.isEmpty() && scores.size() != tokens.size() || !types.isEmpty() && types.size() != tokens.size()) {
            throw new BadCheckpointException(
                    metadata.file(), tokens.size() + " tokens, " + scores.size() + " scores and " + types.size()
                            + " token types in the metadata, expected as many of each; get the file again");
        }
        List<Piece> pieces = new ArrayList<>();
        for (int i = 0; i < tokens.size(); i++) {
            pieces.add(new Piece(
                    tokens.get(i),
                    scores.isEmpty() ? 0 : scores.get(i).floatValue(),
                    types.isEmpty() ? Piece.Kind.NORMAL : Piece.Kind.of(types.get(i))));
        }
        return pieces;
    }

    private static int id(GgufMetadata metadata, String key, int size) {
        long id = metadata.integer(key).orElse(-1L);
        return id >= 0 && id < size ? (int) id : -1;
    }

    private static ObjectNode config(GgufMetadata metadata, List<Piece> pieces, boolean addBos) {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.put("add_bos_token", addBos);
        json.put("add_eos_token", metadata.flag("tokenizer.ggml.add_eos_token").orElse(false));
        for (String[] names : new String[][] {
            {"bos_token", "tokenizer.ggml.bos_token_id"},
            {"eos_token", "tokenizer.ggml.eos_token_id"},
            {"unk_token", "tokenizer.ggml.unknown_token_id"},
            {"pad_token", "tokenizer.ggml.padding_token_id"}
        }) {
            int id = id(metadata, names[1], pieces.size());
            if (id >= 0) {
                json.put(names[0], pieces.get(id).text());
            }
        }
        metadata.text("general.architecture")
                .flatMap(architecture -> metadata.integer(architecture + ".context_length"))
                .ifPresent(length -> json.put("model_max_length", length));
        json.put("clean_up_tokenization_spaces", false);
        metadata.text("tokenizer.chat_template").ifPresent(template -> json.put("chat_template", template));
        json.put("tokenizer_class", "PreTrainedTokenizerFast");
        return json;
    }
}
