package nibble.datasets.evaluation;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.ArrayList;
import java.util.List;
import nibble.datasets.BadDatasetException;
import nibble.files.Reasons;

/** Rows of JSON lines, or of one JSON list. */
final class JsonRows {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private JsonRows() {}

    /**
     * @param where the file, for messages
     * @throws BadDatasetException if a line is no such document; the message says which and why
     */
    static List<SourceRows.Row> of(String where, String text) {
        if (text.stripLeading().startsWith("[")) {
            return ofList(where, text);
        }
        List<SourceRows.Row> rows = new ArrayList<>();
        int number = 0;
        for (String line : text.split("\n", -1)) {
            number++;
            if (line.isBlank()) {
                continue;
            }
            String at = where + ": line " + number;
            rows.add(new SourceRows.Row(at, object(at, parse(at, line))));
        }
        if (rows.isEmpty()) {
            throw new BadDatasetException(where + ": no documents in its " + number + " lines");
        }
        return rows;
    }

    private static List<SourceRows.Row> ofList(String where, String text) {
        List<SourceRows.Row> rows = new ArrayList<>();
        for (JsonNode row : parse(where, text)) {
            String at = where + ": item " + rows.size();
            rows.add(new SourceRows.Row(at, object(at, row)));
        }
        if (rows.isEmpty()) {
            throw new BadDatasetException(where + ": its list is empty");
        }
        return rows;
    }

    private static JsonNode object(String at, JsonNode row) {
        if (row.isObject()) {
            return row;
        }
        throw new BadDatasetException(at + ": expected a JSON object, found " + row.getNodeType());
    }

    private static JsonNode parse(String at, String text) {
        try {
            return JSON.readTree(text);
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(at + ": not JSON: " + Reasons.of(e), e);
        }
    }
}
