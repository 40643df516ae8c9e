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

/** Documents from JSON lines, in the bundled form or with the fields of the hub's data set. */
final class JsonRows {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private JsonRows() {}

    /**
     * @param where the file, for messages
     * @throws BadDatasetException if a line is no such document; the message says which and why
     */
    static List<EvaluationDocument> documents(EvaluationSet set, String where, String text) {
        List<EvaluationDocument> documents = new ArrayList<>();
        int number = 0;
        for (String line : text.split("\n", -1)) {
            number++;
            if (line.isBlank()) {
                continue;
            }
            String at = where + ": line " + number;
            documents.add(DocumentFields.document(set.rows(), new DocumentFields(parse(at, line), at)));
        }
        if (documents.isEmpty()) {
            throw new BadDatasetException(where + ": no documents in its " + number + " lines");
        }
        return documents;
    }

    private static JsonNode parse(String at, String line) {
        try {
            JsonNode row = JSON.readTree(line);
            if (row.isObject()) {
                return row;
            }
            throw new BadDatasetException(at + ": expected a JSON object, found " + row.getNodeType());
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(at + ": not JSON: " + Reasons.of(e), e);
        }
    }
}
