package nibble.checkpoint.source;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import nibble.files.Reasons;

/**
 * Reads JSON as files of unknown origin need it: UTF-8 only, no name twice in an object, nothing after the value,
 * bounded depth.
 */
public final class StrictJson {
    /** Larger than any real config.json or index by a factor of ten. */
    private static final long MAX_FILE_BYTES = 64L << 20;

    private static final ObjectMapper MAPPER = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    static {
        MAPPER.getFactory()
                .setStreamReadConstraints(StreamReadConstraints.builder()
                        .maxNestingDepth(64)
                        .maxNumberLength(100)
                        .build());
    }

    private StrictJson() {}

    /** Returns the JSON object that {@code file} holds. */
    public static ObjectNode readObject(Path file) {
        SourceFile.require(file);
        try {
            long size = Files.size(file);
            if (size > MAX_FILE_BYTES) {
                throw new BadCheckpointException(
                        file,
                        size + " bytes, expected a JSON text of at most " + MAX_FILE_BYTES + "; get the file again");
            }
            JsonNode tree = MAPPER.readTree(decode(file, ByteBuffer.wrap(Files.readAllBytes(file)), 0));
            if (!(tree instanceof ObjectNode object)) {
                throw new BadCheckpointException(
                        file,
                        "found JSON of type " + tree.getNodeType() + ", expected an object {...}; get the file again");
            }
            return object;
        } catch (NoSuchFileException e) {
            throw new BadCheckpointException(file, "no such file; get the whole checkpoint again", e);
        } catch (JsonProcessingException e) {
            throw broken(file, "JSON", 0, e);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
    }

    /** Returns a streaming reader with the same rules, for headers too large to hold as a tree. */
    public static JsonParser parser(String text) throws IOException {
        return MAPPER.getFactory().createParser(text);
    }

    /** Returns the text of {@code bytes}, which start at byte {@code at} of the file. */
    public static String decode(Path file, ByteBuffer bytes, long at) {
        int start = bytes.position();
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
        } catch (CharacterCodingException e) {
            throw new BadCheckpointException(
                    file,
                    "byte " + (at + bytes.position() - start)
                            + ": found invalid UTF-8, expected JSON text; get the file again",
                    e);
        }
    }

    public static BadCheckpointException broken(Path file, String what, long at, JsonProcessingException e) {
        String where = e.getLocation() == null
                ? ""
                : "character " + (at + Math.max(0, e.getLocation().getCharOffset())) + ": ";
        return new BadCheckpointException(
                file, where + "found no valid " + what + " (" + Reasons.of(e) + "); get the file again", e);
    }

    /** Returns {@code text} as a JSON string, with its quotes. */
    public static String quoted(String text) {
        try {
            return MAPPER.writeValueAsString(text);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("not a JSON string: " + text, e);
        }
    }
}
