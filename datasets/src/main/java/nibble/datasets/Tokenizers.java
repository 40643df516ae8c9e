package nibble.datasets;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.files.Reasons;

/** Opens the tokenizer of a checkpoint folder. */
public final class Tokenizers {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Tokenizers() {}

    /**
     * The tokenizer in {@code tokenizer.json}. Its BOS id is the one its own post-processor puts in front; where that
     * puts none, {@code bos_token} of {@code tokenizer_config.json} unless {@code add_bos_token} is false.
     *
     * @param folder a checkpoint folder
     * @throws BadDatasetException if {@code tokenizer.json} is missing or not a tokenizer
     */
    public static Tokenizer open(Path folder) {
        Path file = folder.resolve("tokenizer.json");
        if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            String hint = Files.exists(folder.resolve("tokenizer.model"))
                    ? "; tokenizer.model alone is not read, make a tokenizer.json of it (transformers writes one on"
                            + " save_pretrained)"
                    : "; copy it from the model's repository";
            throw new BadDatasetException(folder + ": no tokenizer, looked for tokenizer.json" + hint);
        }
        return HuggingFaceTokenizerFile.open(file, bosToken(folder.resolve("tokenizer_config.json")));
    }

    /**
     * As {@link #open} of files that are in memory.
     *
     * @param source where they come from, for messages
     * @param tokenizerConfig content of tokenizer_config.json, or no bytes
     */
    public static Tokenizer of(Path source, byte[] tokenizerJson, byte[] tokenizerConfig) {
        try {
            return HuggingFaceTokenizerFile.open(
                    source,
                    tokenizerJson,
                    tokenizerConfig.length == 0 ? Optional.empty() : bosToken(JSON.readTree(tokenizerConfig)));
        } catch (IOException e) {
            throw new BadDatasetException(source + ": its tokenizer's config is no JSON: " + Reasons.of(e), e);
        }
    }

    /**
     * Checks that a folder has a tokenizer for whoever loads the model, be it one that is not read here.
     *
     * @throws BadDatasetException if it has neither {@code tokenizer.json} nor {@code tokenizer.model}
     */
    public static void require(Path folder) {
        boolean found = false;
        for (String name : List.of("tokenizer.json", "tokenizer.model")) {
            Path file = folder.resolve(name);
            if (Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
                SourceText.require(file);
                found = true;
            }
        }
        if (!found) {
            throw new BadDatasetException(folder
                    + ": no tokenizer, looked for tokenizer.json and tokenizer.model; copy it from the model's repository");
        }
    }

    private static Optional<String> bosToken(Path config) {
        if (!Files.exists(config, LinkOption.NOFOLLOW_LINKS)) {
            return Optional.empty();
        }
        SourceText.require(config);
        try {
            return bosToken(JSON.readTree(config.toFile()));
        } catch (IOException e) {
            throw new BadDatasetException(config + ": cannot be read as JSON: " + Reasons.of(e), e);
        }
    }

    /** The literal BOS token of a tokenizer_config.json that does not forbid it. */
    private static Optional<String> bosToken(JsonNode root) {
        if (!root.path("add_bos_token").asBoolean(true)) {
            return Optional.empty();
        }
        JsonNode token = root.path("bos_token");
        String text = token.isObject() ? token.path("content").asText("") : token.asText("");
        return token.isNull() || text.isEmpty() ? Optional.empty() : Optional.of(text);
    }
}
