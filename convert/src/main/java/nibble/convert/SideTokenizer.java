package nibble.convert;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import nibble.convert.vocabulary.SentencePieceJson;
import nibble.convert.vocabulary.SentencePieceModel;
import nibble.files.Reasons;

/** Makes the tokenizer.json that Llama repositories of early 2023 and Meta's own downloads lack. */
final class SideTokenizer {
    /** Ten times Llama 2's. */
    private static final long MAX_BYTES = 8 << 20;

    private SideTokenizer() {}

    /** A tokenizer.json where the folder has only SentencePiece's tokenizer.model; else nothing. */
    static SequencedMap<String, byte[]> of(Path folder) {
        SequencedMap<String, byte[]> made = new LinkedHashMap<>();
        Path file = folder.resolve("tokenizer.model");
        try {
            if (SourceFile.isNamed(folder.resolve("tokenizer.json")) || !SourceFile.isNamed(file)) {
                return made;
            }
            SourceFile.require(file);
            if (Files.size(file) > MAX_BYTES) {
                return made;
            }
            byte[] bytes = Files.readAllBytes(file);
            // Meta's Llama 3 has a file of this name that is a list of tokens in base64.
            SentencePieceModel.read(bytes).ifPresent(model -> made.put(
                    "tokenizer.json",
                    SentencePieceJson.of(model.pieces(), model.bosId(), model.spaceInFront())
                            .toString()
                            .getBytes(StandardCharsets.UTF_8)));
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
        return made;
    }
}
