package nibble.eval.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.datasets.BadDatasetException;
import nibble.datasets.SourceText;
import nibble.files.Reasons;

/** A JSON file that another command wrote. */
final class MeasurementFile {
    private static final ObjectMapper JSON = new ObjectMapper();

    private MeasurementFile() {}

    static JsonNode read(Path file) {
        SourceText.require(file);
        try {
            return JSON.readTree(Files.readString(file));
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(file + ": not JSON: " + Reasons.of(e), e);
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read: " + Reasons.of(e), e);
        }
    }
}
