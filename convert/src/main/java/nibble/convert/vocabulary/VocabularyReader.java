package nibble.convert.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaConfig;
import nibble.convert.SourceFile;
import nibble.files.Reasons;

/** Reads the vocabulary of a checkpoint from tokenizer.json and, for SentencePiece's scores, tokenizer.model. */
public final class VocabularyReader {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Checkpoint checkpoint;
    private final LlamaConfig config;
    private final JsonNode tokenizer;
    private final JsonNode tokenizerConfig;

    private VocabularyReader(Checkpoint checkpoint) {
        this.checkpoint = checkpoint;
        this.config = checkpoint.config();
        this.tokenizer = json("tokenizer.json");
        this.tokenizerConfig = json("tokenizer_config.json");
    }

    /** @throws BadCheckpointException if there is no tokenizer or it is of a kind that GGUF is not written with */
    public static Vocabulary read(Checkpoint checkpoint) {
        return new VocabularyReader(checkpoint).vocabulary();
    }

    private Vocabulary vocabulary() {
        if (!tokenizer.at("/model/vocab").isObject()) {
            throw new BadCheckpointException(
                    checkpoint.folder(), "no tokenizer.json or tokenizer.model with a BPE vocabulary, which a GGUF file holds;"
                            + " copy it from the model's repository");
        }
        List<Piece> pieces = pieces();
        boolean sentencePiece = tokenizer.at("/model/byte_fallback").asBoolean(false);
        boolean bosByTemplate = tokenizer.path("post_processor").toString().contains("SpecialToken");
        int bos = special(pieces, "bos_token", config.bosId());
        int eos = special(pieces, "eos_token", config.eosIds().isEmpty() ? -1 : config.eosIds().getFirst());
        return new Vocabulary(
                sentencePiece ? "llama" : "gpt2",
                sentencePiece ? "default" : split(),
                pieces,
                sentencePiece ? List.of() : merges(),
                bos,
                eos,
                special(pieces, "unk_token", -1),
                special(pieces, "pad_token", -1),
                bos >= 0 && tokenizerConfig.path("add_bos_token").asBoolean(bosByTemplate),
                tokenizerConfig.path("add_eos_token").asBoolean(false),
                tokenizer.path("normalizer").toString().contains("\"Prepend\""),
                chatTemplate());
    }

    private List<Piece> pieces() {
        Map<Integer, String> texts = new HashMap<>();
        tokenizer.at("/model/vocab").properties().forEach(entry -> texts.put(entry.getValue().asInt(-1), entry.getKey()));
        Map<Integer, Boolean> added = new HashMap<>();
        for (JsonNode token : tokenizer.path("added_tokens")) {
            int id = token.path("id").asInt(-1);
            texts.put(id, token.path("content").asText());
            added.put(id, token.path("special").asBoolean());
        }
        String unknown = tokenizer.at("/model/unk_token").asText("");
        Map<String, Float> scores = scores();
        List<Piece> pieces = new ArrayList<>();
        for (int id = 0; id < config.vocabularySize(); id++) {
            String text = texts.get(id);
            if (text == null) {
                // Embeddings are often padded to a round number of rows.
                pieces.add(new Piece("[PAD" + id + "]", 0, Piece.Kind.UNUSED));
                continue;
            }
            pieces.add(new Piece(text, scores.getOrDefault(text, 0f), kind(text, unknown, added.get(id))));
        }
        if (texts.keySet().stream().anyMatch(id -> id < 0 || id >= config.vocabularySize())) {
            throw new BadCheckpointException(
                    checkpoint.folder(), "the tokenizer has ids beyond the " + config.vocabularySize()
                            + " rows of the embedding; config and tokenizer are of different models");
        }
        return pieces;
    }

    private static Piece.Kind kind(String text, String unknown, @org.jspecify.annotations.Nullable Boolean special) {
        if (text.equals(unknown)) {
            return Piece.Kind.UNKNOWN;
        }
        if (special != null) {
            return special ? Piece.Kind.CONTROL : Piece.Kind.USER_DEFINED;
        }
        return text.matches("<0x[0-9A-F]{2}>") ? Piece.Kind.BYTE : Piece.Kind.NORMAL;
    }

    /** SentencePiece's own scores; without its file, the place of the first merge that makes a piece, as they are by then. */
    private Map<String, Float> scores() {
        Map<String, Float> scores = new HashMap<>();
        bytes("tokenizer.model").flatMap(SentencePieceModel::read).ifPresent(model -> model.pieces()
                .forEach(piece -> scores.put(piece.text(), piece.score())));
        if (scores.isEmpty()) {
            List<String> merges = merges();
            for (int i = 0; i < merges.size(); i++) {
                scores.putIfAbsent(merges.get(i).replaceFirst(" ", ""), (float) -i);
            }
        }
        return scores;
    }

    private List<String> merges() {
        List<String> merges = new ArrayList<>();
        for (JsonNode merge : tokenizer.at("/model/merges")) {
            merges.add(merge.isArray() ? merge.path(0).asText() + " " + merge.path(1).asText() : merge.asText());
        }
        return merges;
    }

    private String split() {
        JsonNode before = tokenizer.path("pre_tokenizer");
        for (JsonNode step : before.path("pretokenizers")) {
            if (step.path("type").asText().equals("Split")) {
                String expression = step.at("/pattern/Regex").asText();
                return ByteLevelJson.splitNamed(expression)
                        .orElseThrow(() -> new BadCheckpointException(
                                checkpoint.folder(), "tokenizer.json splits text by " + expression
                                        + ", which has no name in GGUF known here"));
            }
            if (step.path("type").asText().equals("Digits")) {
                return "smollm";
            }
        }
        return "gpt-2";
    }

    /** The id of a token that tokenizer_config.json names; else what the config says. */
    private int special(List<Piece> pieces, String key, int otherwise) {
        JsonNode token = tokenizerConfig.path(key);
        String text = token.isObject() ? token.path("content").asText("") : token.asText("");
        if (!text.isEmpty() && !token.isNull()) {
            for (int id = 0; id < pieces.size(); id++) {
                if (pieces.get(id).text().equals(text)) {
                    return id;
                }
            }
        }
        return otherwise < pieces.size() ? otherwise : -1;
    }

    private Optional<String> chatTemplate() {
        Optional<String> file = bytes("chat_template.jinja").map(bytes -> new String(bytes, StandardCharsets.UTF_8));
        return file.or(() -> Optional.of(tokenizerConfig.path("chat_template"))
                .filter(JsonNode::isTextual)
                .map(JsonNode::asText));
    }

    private JsonNode json(String name) {
        try {
            Optional<byte[]> bytes = bytes(name);
            return bytes.isPresent() ? JSON.readTree(bytes.get()) : MissingNode.getInstance();
        } catch (IOException e) {
            throw new BadCheckpointException(checkpoint.folder(), name + " is no JSON: " + Reasons.of(e), e);
        }
    }

    private Optional<byte[]> bytes(String name) {
        Path file = checkpoint.folder().resolve(name);
        try {
            if (SourceFile.isNamed(file)) {
                SourceFile.require(file);
            }
            return Files.isRegularFile(file)
                    ? Optional.of(Files.readAllBytes(file))
                    : Optional.ofNullable(checkpoint.madeFiles().get(name));
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
    }
}
