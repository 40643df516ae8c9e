package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.SourceFile;
import nibble.files.Reasons;

/** Reads files of a tokenizer, with bounds on their size and depth. */
public final class TokenizerJsonFile {
    /** Twelve times the largest published tokenizer. */
    private static final long MAX_BYTES = 256L << 20;

    private static final ObjectMapper MAPPER = JsonMapper.builder().build();

    static {
        MAPPER.getFactory()
                .setStreamReadConstraints(StreamReadConstraints.builder()
                        .maxNestingDepth(64)
                        .maxNumberLength(100)
                        .maxStringLength(1 << 24)
                        .build());
    }

    private TokenizerJsonFile() {}

    /** Returns the bytes of a file of this name, if the folder has one. */
    public static Optional<byte[]> bytes(Path folder, String name) {
        Path file = folder.resolve(name);
        if (!SourceFile.isNamed(file)) {
            return Optional.empty();
        }
        SourceFile.require(file);
        try {
            long size = Files.size(file);
            if (size > MAX_BYTES) {
                throw new BadCheckpointException(
                        file, size + " bytes, expected at most " + MAX_BYTES + " of a tokenizer; get the file again");
            }
            return Optional.of(Files.readAllBytes(file));
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
    }

    /** Returns the JSON object in a file of this name, if the folder has one. */
    public static Optional<ObjectNode> object(Path folder, String name) {
        return bytes(folder, name).map(bytes -> object(folder.resolve(name), bytes));
    }

    /**
     * Reads a JSON object.
     *
     * @param file where the bytes come from, for messages
     */
    public static ObjectNode object(Path file, byte[] bytes) {
        try {
            JsonNode json = MAPPER.readTree(bytes);
            if (json instanceof ObjectNode object) {
                return object;
            }
            throw new BadCheckpointException(
                    file,
                    "found JSON of type " + json.getNodeType() + ", expected an object {...}; get the file again");
        } catch (JsonProcessingException e) {
            throw new BadCheckpointException(
                    file, "found no valid JSON (" + Reasons.of(e) + "); get the file again", e);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
    }

    public static byte[] bytes(JsonNode json) {
        try {
            return MAPPER.writeValueAsBytes(json);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a tokenizer's JSON cannot be written", e);
        }
    }
}
