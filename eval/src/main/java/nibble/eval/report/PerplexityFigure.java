package nibble.eval.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import nibble.datasets.BadDatasetException;

/**
 * Holds a perplexity with what it is of.
 *
 * @param label whose it is
 * @param text the text, recipe, context and windows; figures of one text can be compared
 */
public record PerplexityFigure(String label, String text, double perplexity) {
    /**
     * Reads what {@code nibble eval perplexity --json} wrote. The file names no model, so its own name is the label.
     *
     * @throws BadDatasetException if the file is no such JSON
     */
    public static PerplexityFigure read(Path file) {
        JsonNode json = MeasurementFile.read(file);
        if (!json.path("perplexity").isNumber()
                || !json.path("recipe").isTextual()
                || !json.path("context_tokens").isInt()) {
            throw new BadDatasetException(file
                    + ": holds no perplexity with its recipe and context_tokens; give the FILE of 'nibble eval"
                    + " perplexity MODEL --json FILE'");
        }
        String text = "%s, %s, %d windows of %d"
                .formatted(
                        json.path("dataset").asText("text"),
                        json.path("recipe").asText(),
                        json.path("windows").asInt(),
                        json.path("context_tokens").asInt());
        String name = file.getFileName().toString();
        return new PerplexityFigure(
                name.replaceFirst("\\.json$", ""), text, json.path("perplexity").doubleValue());
    }
}
