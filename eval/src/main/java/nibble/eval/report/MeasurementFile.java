package nibble.eval.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.datasets.BadDatasetException;

/** A JSON file that another command wrote. */
final class MeasurementFile {
    private static final ObjectMapper JSON = new ObjectMapper();

    private MeasurementFile() {}

    static JsonNode read(Path file) {
        try {
            return JSON.readTree(Files.readString(file));
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(file + ": not JSON: " + e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read: " + e, e);
        }
    }
}
