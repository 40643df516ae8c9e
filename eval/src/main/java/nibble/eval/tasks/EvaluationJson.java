package nibble.eval.tasks;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.SerializerProvider;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.ser.std.StdSerializer;
import java.io.IOException;
import java.nio.file.Path;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;
import nibble.files.Reasons;

/**
 * Writes {@link EvaluationResult} as JSON and reads it back: snake_case, null values left out, a document on a line of
 * its own.
 */
public final class EvaluationJson {
    /** Results of all documents of all tasks are a tenth of it. */
    private static final long MAX_BYTES = 1L << 30;

    private static final ObjectMapper COMPACT = builder().build();
    private static final ObjectMapper INDENTED = builder()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .addModule(new SimpleModule().addSerializer(DocumentResult.class, new DocumentLine()))
            .build();

    private EvaluationJson() {}

    private static JsonMapper.Builder builder() {
        return JsonMapper.builder()
                .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                .serializationInclusion(JsonInclude.Include.NON_NULL)
                .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES);
    }

    /** Returns the JSON text, without a final newline. */
    public static String text(Record figures) {
        return write(INDENTED, figures);
    }

    /** One document on one line, as the journal of a run keeps it. */
    static String line(Object value) {
        return write(COMPACT, value);
    }

    static <T> T parseLine(String line, Class<T> type) throws JsonProcessingException {
        return COMPACT.readValue(line, type);
    }

    static <T> T parseLine(String line, TypeReference<T> type) throws JsonProcessingException {
        return COMPACT.readValue(line, type);
    }

    private static String write(ObjectMapper mapper, Object value) {
        try {
            return mapper.writeValueAsString(value);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(value.getClass() + " cannot be written as JSON", e);
        }
    }

    /**
     * Reads what {@link #text} wrote.
     *
     * @throws BadDatasetException if the file cannot be read, is no such JSON, or is of another version
     */
    public static EvaluationResult read(Path file) {
        return read(file, EvaluationResult.class, EvaluationResult.SCHEMA);
    }

    /**
     * Reads a record that {@link #text(Record)} wrote.
     *
     * @param schema that the file must have
     * @throws BadDatasetException if the file cannot be read, is no such JSON, or is of another version
     */
    public static <T extends Record> T read(Path file, Class<T> type, String schema) {
        String found = schema(file);
        if (found.isEmpty()) {
            throw new BadDatasetException(file + ": not a file of 'nibble eval tasks --json': it names no schema");
        }
        if (!schema.equals(found)) {
            throw new BadDatasetException("%s: schema \"%s\", expected \"%s\"; measure again with this version"
                    .formatted(file, found, schema));
        }
        try {
            return COMPACT.readValue(text(file), type);
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(file + ": not a file of 'nibble eval tasks --json': " + Reasons.of(e), e);
        }
    }

    /** Names a file's form and its version; empty if it names none. */
    public static String schema(Path file) {
        try {
            return COMPACT.readTree(text(file)).path("schema").asText("");
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(file + ": not a file of 'nibble eval tasks --json': " + Reasons.of(e), e);
        }
    }

    private static String text(Path file) {
        return Utf8File.read(file, MAX_BYTES).text();
    }

    private static final class DocumentLine extends StdSerializer<DocumentResult> {
        DocumentLine() {
            super(DocumentResult.class);
        }

        @Override
        public void serialize(DocumentResult document, JsonGenerator json, SerializerProvider provider)
                throws IOException {
            json.writeRawValue(line(document));
        }
    }
}
