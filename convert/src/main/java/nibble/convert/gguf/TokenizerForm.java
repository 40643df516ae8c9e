package nibble.convert.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.source.BadCheckpointException;

/** Says what a tokenizer.json does to a text that GGUF has no key for. */
final class TokenizerForm {
    private static final String SPACE = "▁";

    private TokenizerForm() {}

    /**
     * Rejects a tokenizer that llama.cpp would run in another way.
     *
     * @throws BadCheckpointException if it changes or cuts text by a step that GGUF has no form for
     */
    static void require(Path folder, JsonNode tokenizer) {
        boolean sentencePiece = isSentencePiece(tokenizer);
        for (JsonNode step : parts(tokenizer.path("normalizer"), "normalizers")) {
            if (sentencePiece
                    ? !writesSpaces(step)
                    : !step.path("type").asText().equals("NFC")) {
                throw unknown(folder, "changes text by " + step);
            }
        }
        if (!sentencePiece) {
            return;
        }
        for (JsonNode step : parts(tokenizer.path("pre_tokenizer"), "pretokenizers")) {
            boolean ofSpaces = step.path("type").asText().equals("Split")
                    && step.at("/pattern/String").asText().equals(" ");
            if (!ofSpaces && !step.path("type").asText().equals("Metaspace")) {
                throw unknown(folder, "splits text by " + step);
            }
        }
    }

    /** Says what a file does not hold or llama.cpp does in another way, in words. */
    static List<String> notes(Checkpoint source) {
        List<String> notes = new ArrayList<>();
        source.tokenizer().ifPresent(tokenizer -> {
            if (tokenizer.spaceInFront() && !isSentencePiece(tokenizer.json())) {
                notes.add("the tokenizer puts a space in front of a text; llama.cpp does not, so it reads the first"
                        + " word as another token");
            }
            int rows = source.config().vocabularySize();
            tokenizer.beyond(rows).ifPresent(beyond -> notes.add(beyond.words(rows) + "; the file leaves them out"));
        });
        return notes;
    }

    /** Whether bytes have pieces of their own, as in SentencePiece's vocabularies. */
    static boolean isSentencePiece(JsonNode tokenizer) {
        return tokenizer.at("/model/byte_fallback").asBoolean(false);
    }

    private static boolean writesSpaces(JsonNode step) {
        return switch (step.path("type").asText()) {
            case "Prepend" -> step.path("prepend").asText().equals(SPACE);
            case "Replace" ->
                step.at("/pattern/String").asText().equals(" ")
                        && step.path("content").asText().equals(SPACE);
            default -> false;
        };
    }

    private static List<JsonNode> parts(JsonNode whole, String name) {
        List<JsonNode> parts = new ArrayList<>();
        if (whole.path("type").asText().equals("Sequence")) {
            whole.path(name).forEach(part -> parts.addAll(parts(part, name)));
        } else if (whole.isObject()) {
            parts.add(whole);
        }
        return parts;
    }

    private static BadCheckpointException unknown(Path folder, String what) {
        return new BadCheckpointException(
                folder, "tokenizer.json " + what + ", which GGUF has no key for; llama.cpp would read other tokens");
    }
}
