package nibble.convert.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.GenerationConfig;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.vocabulary.Piece;
import nibble.checkpoint.vocabulary.PreTokenizer;
import nibble.checkpoint.vocabulary.SentencePieceModel;
import nibble.checkpoint.vocabulary.StatedFlags;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.checkpoint.vocabulary.TokenizerJsonFile;
import nibble.checkpoint.vocabulary.Vocabulary;
import org.jspecify.annotations.Nullable;

/** A checkpoint's tokenizer as GGUF's metadata has it; SentencePiece's scores come from tokenizer.model. */
final class VocabularyReader {
    /** Scores that llama.cpp's converter gives to ids that SentencePiece's model lacks. */
    private static final float ADDED_SCORE = -1000;

    private static final float UNUSED_SCORE = -10_000;
    private static final Set<String> LOOK_SPECIAL = Set.of("<pad>", "<mask>", "<2mass>", "[@BOS@]");

    private final Checkpoint checkpoint;
    private final ModelConfig config;
    private final TokenizerDescription described;
    private final JsonNode tokenizer;

    private VocabularyReader(Checkpoint checkpoint) {
        this.checkpoint = checkpoint;
        this.config = checkpoint.config();
        this.described = checkpoint
                .tokenizer()
                .filter(found -> found.json().at("/model/vocab").isObject())
                .orElseThrow(() -> new BadCheckpointException(
                        checkpoint.folder(),
                        "no tokenizer.json or tokenizer.model with a BPE vocabulary, which a GGUF file holds;"
                                + " copy it from the model's repository"));
        this.tokenizer = described.json();
    }

    /**
     * Reads a tokenizer.
     *
     * @throws BadCheckpointException if there is no tokenizer or it is of a kind that GGUF is not written with
     */
    public static Vocabulary read(Checkpoint checkpoint) {
        return new VocabularyReader(checkpoint).vocabulary();
    }

    private Vocabulary vocabulary() {
        List<Piece> pieces = pieces();
        TokenizerForm.require(checkpoint.folder(), tokenizer);
        boolean sentencePiece = TokenizerForm.isSentencePiece(tokenizer);
        int bos = special("bos_token", config.bosId());
        int eos = special(
                "eos_token", config.eosIds().isEmpty() ? -1 : config.eosIds().getFirst());
        List<Integer> leading = described.leadingIds();
        if (!leading.isEmpty() && leading.getFirst() >= 0 && leading.getFirst() < pieces.size()) {
            bos = leading.getFirst();
        }
        return new Vocabulary(
                sentencePiece ? Vocabulary.SENTENCE_PIECE : Vocabulary.BYTE_LEVEL,
                sentencePiece ? "default" : split(),
                pieces,
                sentencePiece ? List.of() : merges(),
                bos,
                eos,
                endOfTurn(pieces, eos),
                special("unk_token", config.json().path("unk_token_id").asInt(-1)),
                special("pad_token", config.json().path("pad_token_id").asInt(-1)),
                bos >= 0 && !leading.isEmpty(),
                eos >= 0 && !described.trailingIds().isEmpty(),
                described.spaceInFront(),
                StatedFlags.of(described, tokenizerConfig(), config.json(), pieces.size()),
                ChatTemplates.of(checkpoint.folder(), checkpoint.madeFiles()));
    }

    private ObjectNode tokenizerConfig() {
        String name = "tokenizer_config.json";
        Path source = checkpoint.folder();
        return TokenizerJsonFile.object(source, name)
                .or(() -> Optional.ofNullable(checkpoint.madeFiles().get(name))
                        .map(bytes -> TokenizerJsonFile.object(source, bytes)))
                .orElseGet(JsonNodeFactory.instance::objectNode);
    }

    private List<Piece> pieces() {
        described
                .beyond(config.vocabularySize())
                .filter(TokenizerDescription.Beyond::vocabulary)
                .ifPresent(beyond -> {
                    throw new BadCheckpointException(
                            checkpoint.folder(),
                            "the tokenizer has ids up to " + beyond.largest() + ", beyond the "
                                    + config.vocabularySize()
                                    + " rows of the embedding; config and tokenizer are of different models");
                });
        Map<Integer, String> texts = described.texts();
        Map<Integer, Boolean> added = new HashMap<>();
        for (JsonNode token : tokenizer.path("added_tokens")) {
            added.put(token.path("id").asInt(-1), token.path("special").asBoolean());
        }
        String unknown = tokenizer.at("/model/unk_token").asText("");
        Map<String, Float> scores = scores();
        List<Piece> pieces = new ArrayList<>();
        for (int id = 0; id < config.vocabularySize(); id++) {
            String text = texts.get(id);
            if (text == null) {
                // Embeddings are often padded to a round number of rows.
                pieces.add(new Piece("[PAD" + id + "]", UNUSED_SCORE, Piece.Kind.UNUSED));
                continue;
            }
            float otherwise = added.containsKey(id) ? ADDED_SCORE : 0;
            pieces.add(new Piece(text, scores.getOrDefault(text, otherwise), kind(text, unknown, added.get(id))));
        }
        return pieces;
    }

    private static Piece.Kind kind(String text, String unknown, @Nullable Boolean special) {
        if (text.equals(unknown)) {
            return Piece.Kind.UNKNOWN;
        }
        if (special != null) {
            return special || looksSpecial(text) ? Piece.Kind.CONTROL : Piece.Kind.USER_DEFINED;
        }
        return text.matches("<0x[0-9A-F]{2}>") ? Piece.Kind.BYTE : Piece.Kind.NORMAL;
    }

    /** As llama.cpp's converter: some models add tokens of this form without calling them special. */
    private static boolean looksSpecial(String text) {
        return LOOK_SPECIAL.contains(text)
                || text.startsWith("<|") && text.endsWith("|>")
                || text.startsWith("<｜") && text.endsWith("｜>")
                || text.startsWith("<unused") && text.endsWith(">");
    }

    /**
     * SentencePiece's own scores; without its file, the place of the first merge that makes a piece, as they are by
     * then.
     */
    private Map<String, Float> scores() {
        Map<String, Float> scores = new HashMap<>();
        TokenizerJsonFile.bytes(checkpoint.folder(), "tokenizer.model")
                .flatMap(SentencePieceModel::read)
                .ifPresent(model -> model.pieces().forEach(piece -> scores.put(piece.text(), piece.score())));
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
            merges.add(
                    merge.isArray()
                            ? merge.path(0).asText() + " " + merge.path(1).asText()
                            : merge.asText());
        }
        return merges;
    }

    private String split() {
        return PreTokenizer.of(tokenizer)
                .map(PreTokenizer::name)
                .orElseThrow(() -> new BadCheckpointException(
                        checkpoint.folder(),
                        "tokenizer.json splits text by " + PreTokenizer.describe(tokenizer)
                                + ", which has no name in GGUF known here"));
    }

    /** The id of a token that the tokenizer's files name; else what the config says. */
    private int special(String name, int otherwise) {
        int id = described.id(name);
        int found = id >= 0 ? id : otherwise;
        return found < config.vocabularySize() ? found : -1;
    }

    /** The source's own; else one more stop id of the config files that llama.cpp would not find by its text. */
    private int endOfTurn(List<Piece> pieces, int eos) {
        if (described.eotId() >= 0) {
            return described.eotId() < pieces.size() ? described.eotId() : -1;
        }
        Set<Integer> stops =
                new LinkedHashSet<>(GenerationConfig.of(checkpoint.folder()).eosIds());
        stops.addAll(config.eosIds());
        return stops.stream()
                .filter(id -> id != eos && id >= 0 && id < pieces.size())
                .filter(id -> !Vocabulary.isKnownStop(pieces.get(id).text()))
                .findFirst()
                .orElse(-1);
    }
}
