package nibble.eval.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Path;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;

/** A JSON file that another command wrote. */
final class MeasurementFile {
    private static final long MAX_BYTES = 1L << 28;
    private static final ObjectMapper JSON = new ObjectMapper();

    private MeasurementFile() {}

    static JsonNode read(Path file) {
        try {
            return JSON.readTree(Utf8File.read(file, MAX_BYTES).text());
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(file + ": not JSON: " + e.getOriginalMessage(), e);
        }
    }
}
