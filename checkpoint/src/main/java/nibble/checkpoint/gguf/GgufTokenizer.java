package nibble.checkpoint.gguf;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.SequencedMap;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.vocabulary.Piece;
import nibble.checkpoint.vocabulary.StatedFlags;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.checkpoint.vocabulary.Vocabulary;

/** The tokenizer in a GGUF file's metadata. What it does not say is as llama.cpp assumes it. */
final class GgufTokenizer {
    private static final String KEY = "tokenizer.ggml.";

    /** SentencePiece's pieces with a list of merges, which go before its scores. */
    private static final String GEMMA_4 = "gemma4";

    private GgufTokenizer() {}

    /** Nothing where there is none, or one of a kind that is not read: the weights are of use without it. */
    static Optional<TokenizerDescription> describe(GgufMetadata metadata) {
        String model = metadata.text(KEY + "model").orElse("none");
        List<Piece> pieces = pieces(metadata);
        boolean gemma4 = model.equals(GEMMA_4);
        boolean sentencePiece = model.equals(Vocabulary.SENTENCE_PIECE);
        if (pieces.isEmpty() || !gemma4 && !sentencePiece && !model.equals(Vocabulary.BYTE_LEVEL)) {
            return Optional.empty();
        }
        String split = metadata.text(KEY + "pre").orElse("default");
        int bos = id(metadata, "bos_token_id", pieces.size(), sentencePiece ? 1 : -1);
        int eos = id(metadata, "eos_token_id", pieces.size(), sentencePiece ? 2 : -1);
        Vocabulary vocabulary = new Vocabulary(
                gemma4 ? Vocabulary.SENTENCE_PIECE : model,
                split,
                pieces,
                // llama.cpp goes by the scores of SentencePiece alone.
                sentencePiece ? List.of() : metadata.list(KEY + "merges", String.class),
                bos,
                eos,
                id(metadata, "eot_token_id", pieces.size(), -1),
                id(metadata, "unknown_token_id", pieces.size(), sentencePiece ? 0 : -1),
                id(metadata, "padding_token_id", pieces.size(), -1),
                bos >= 0 && metadata.flag(KEY + "add_bos_token").orElse(Vocabulary.addsBosUnasked(model, split)),
                eos >= 0 && metadata.flag(KEY + "add_eos_token").orElse(false),
                metadata.flag(KEY + "add_space_prefix").orElse(sentencePiece) && sentencePiece,
                new StatedFlags(
                        metadata.flag(KEY + "add_eos_token"),
                        metadata.flag(KEY + "add_sep_token"),
                        metadata.flag(KEY + "add_space_prefix"),
                        new LinkedHashMap<>()),
                chatTemplates(metadata));
        Optional<Long> context = metadata.text("general.architecture")
                .flatMap(architecture -> metadata.integer(architecture + ".context_length"));
        String name = metadata.text("general.name").orElse("").toLowerCase(Locale.ROOT);
        // llama.cpp tells by the name, too.
        boolean phi = name.contains("phi-3") || name.contains("phi3");
        return Optional.of(vocabulary.description(metadata.file(), context, phi));
    }

    /** The default template, and those that have a name behind the key. */
    private static ChatTemplates chatTemplates(GgufMetadata metadata) {
        SequencedMap<String, String> sources = new LinkedHashMap<>();
        metadata.text(ChatTemplates.GGUF_KEY).ifPresent(source -> sources.put(ChatTemplates.DEFAULT, source));
        for (String key : metadata.values().keySet()) {
            if (key.startsWith(ChatTemplates.GGUF_KEY + ".") && sources.size() < ChatTemplates.MAX_TEMPLATES) {
                String name = key.substring(ChatTemplates.GGUF_KEY.length() + 1);
                metadata.text(key).ifPresent(source -> sources.putIfAbsent(name, source));
            }
        }
        return new ChatTemplates(sources);
    }

    private static List<Piece> pieces(GgufMetadata metadata) {
        List<String> tokens = metadata.list(KEY + "tokens", String.class);
        List<Double> scores = metadata.list(KEY + "scores", Double.class);
        List<Long> types = metadata.list(KEY + "token_type", Long.class);
        if (!scores.isEmpty() && scores.size() != tokens.size() || !types.isEmpty() && types.size() != tokens.size()) {
            throw new BadCheckpointException(
                    metadata.file(),
                    tokens.size() + " tokens, " + scores.size() + " scores and " + types.size()
                            + " token types in the metadata, expected as many of each; get the file again");
        }
        List<Piece> pieces = new ArrayList<>();
        for (int i = 0; i < tokens.size(); i++) {
            pieces.add(new Piece(
                    tokens.get(i).isEmpty() ? "[EMPTY_" + i + "]" : tokens.get(i),
                    scores.isEmpty() ? 0 : scores.get(i).floatValue(),
                    types.isEmpty() ? Piece.Kind.NORMAL : Piece.Kind.of(types.get(i))));
        }
        return pieces;
    }

    /** An id outside the vocabulary counts as absent. */
    private static int id(GgufMetadata metadata, String key, int size, int otherwise) {
        long id = metadata.integer(KEY + key).orElse(-1L);
        int found = id >= 0 && id < size ? (int) id : otherwise;
        return found < size ? found : -1;
    }
}
