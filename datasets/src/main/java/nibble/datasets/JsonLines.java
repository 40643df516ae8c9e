package nibble.datasets;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/** JSON objects, one a line, of which only the string field {@code text} is wanted. */
final class JsonLines {
    private static final String FIELD = "text";

    // A document may be a whole book: Jackson's default stops at 20 million characters.
    private static final JsonFactory JSON = JsonFactory.builder()
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxStringLength(Integer.MAX_VALUE)
                    .build())
            .build();

    private JsonLines() {}

    /** The texts of all lines in order; blank lines and empty texts are passed over. */
    static List<String> texts(Path file, String content) {
        List<String> texts = new ArrayList<>();
        int line = 0;
        int begin = 0;
        while (begin < content.length()) {
            int newline = content.indexOf('\n', begin);
            int end = newline < 0 ? content.length() : newline;
            line++;
            String json = content.substring(begin, end);
            if (!json.isBlank()) {
                String text = text(file, line, json);
                if (!text.isEmpty()) {
                    texts.add(text);
                }
            }
            begin = end + 1;
        }
        if (texts.isEmpty()) {
            throw new BadDatasetException(
                    "%s: no text in its %d lines; expected one JSON object a line with a field \"text\""
                            .formatted(file, line));
        }
        return texts;
    }

    private static String text(Path file, int line, String json) {
        @Nullable String text = null;
        try (JsonParser parser = JSON.createParser(json)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw bad(file, line, "found " + named(parser.currentToken()));
            }
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                JsonToken value = parser.nextToken();
                if (!field.equals(FIELD)) {
                    parser.skipChildren();
                } else if (value == JsonToken.VALUE_STRING) {
                    text = parser.getText();
                } else {
                    throw bad(file, line, "its field \"text\" holds " + named(value));
                }
            }
            if (parser.nextToken() != null) {
                throw bad(file, line, "found more after the object");
            }
        } catch (JsonProcessingException e) {
            throw bad(file, line, Reasons.of(e));
        } catch (IOException e) {
            throw new BadDatasetException(file + ": line " + line + ": " + Reasons.of(e), e);
        }
        if (text == null) {
            throw bad(file, line, "found no such field");
        }
        return text;
    }

    private static String named(@Nullable JsonToken token) {
        return switch (token) {
            case START_ARRAY -> "an array";
            case START_OBJECT -> "an object";
            case VALUE_STRING -> "a string";
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "a number";
            case VALUE_TRUE, VALUE_FALSE -> "a boolean";
            case VALUE_NULL -> "null";
            case null, default -> "no JSON value";
        };
    }

    private static BadDatasetException bad(Path file, int line, String found) {
        return new BadDatasetException(
                "%s: line %d: expected one JSON object with a string field \"text\": %s".formatted(file, line, found));
    }
}
