package nibble.hub.card;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import nibble.checkpoint.source.BadCheckpointException;

/**
 * A perplexity as {@code nibble eval perplexity --json} states it.
 *
 * @param sameAs recipe, text, context and windows in one string: figures of one table row have the same
 */
record MeasuredPerplexity(
        double perplexity,
        String dataset,
        String recipe,
        long contextTokens,
        long windows,
        long windowsInDataset,
        String sameAs) {

    /**
     * Reads a file.
     *
     * @throws BadCheckpointException if it holds no perplexity with its recipe
     */
    static MeasuredPerplexity read(Path file, JsonNode json) {
        if (!json.path("perplexity").isNumber()
                || !json.path("recipe").isTextual()
                || !json.path("context_tokens").isInt()) {
            throw new BadCheckpointException(
                    file,
                    "holds no perplexity with its recipe and context_tokens; give the FILE of 'nibble eval perplexity"
                            + " MODEL --json FILE'");
        }
        String text = json.path("dataset_sha256").asText(json.path("dataset").asText(""));
        return new MeasuredPerplexity(
                json.path("perplexity").doubleValue(),
                json.path("dataset").asText("text"),
                json.path("recipe").asText(),
                json.path("context_tokens").longValue(),
                json.path("windows").longValue(),
                json.path("windows_in_dataset").longValue(),
                text + "/" + json.path("recipe") + "/" + json.path("context_tokens") + "/" + json.path("windows") + "/"
                        + json.path("bos"));
    }

    /**
     * Rows of the card's table: each figure of the checkpoint beside the baseline's that was measured in the same way.
     */
    static List<Map<String, Object>> rows(List<MeasuredPerplexity> quantized, List<MeasuredPerplexity> baseline) {
        List<Map<String, Object>> rows = new ArrayList<>();
        for (MeasuredPerplexity one : quantized) {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("dataset", one.dataset);
            row.put("recipe", one.recipe);
            row.put("context_tokens", one.contextTokens);
            row.put(
                    "windows",
                    one.windows == one.windowsInDataset
                            ? "all " + one.windows
                            : "first " + one.windows + " of " + one.windowsInDataset);
            row.put("quantized", decimals(one.perplexity));
            row.put("baseline", "");
            row.put("gap", "");
            for (MeasuredPerplexity other : baseline) {
                if (other.sameAs.equals(one.sameAs)) {
                    row.put("baseline", decimals(other.perplexity));
                    row.put("gap", String.format(Locale.ROOT, "%+.4f", one.perplexity - other.perplexity));
                }
            }
            rows.add(row);
        }
        return rows;
    }

    /** The figure as an entry of the metadata's model-index. */
    Map<String, Object> result() {
        String part = windows == windowsInDataset ? "" : ", first " + windows + " of " + windowsInDataset + " windows";
        return ModelIndex.result(
                dataset,
                "test",
                "perplexity",
                "perplexity (" + recipe + ", " + contextTokens + " tokens" + part + ")",
                Double.parseDouble(decimals(perplexity)));
    }

    private static String decimals(double value) {
        return String.format(Locale.ROOT, "%.4f", value);
    }
}
