package nibble.hub.card;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import nibble.checkpoint.source.BadCheckpointException;
import org.jspecify.annotations.Nullable;

/**
 * A task's figure as {@code nibble eval tasks --json} states it; of a group of tasks its averages alone.
 *
 * @param stderr null where none is stated
 * @param documents as people read it: how many, and of how many if not all
 * @param sameAs what was measured and how, in one string: figures of one table row have the same
 */
record MeasuredTask(
        String task,
        String metric,
        String preset,
        long fewshot,
        String documents,
        double value,
        @Nullable Double stderr,
        boolean fraction,
        String sameAs) {

    /** @throws BadCheckpointException if the JSON is not a result of tasks */
    static List<MeasuredTask> read(Path file, JsonNode json) {
        if (!json.path("tasks").isArray() || !json.path("preset").isTextual()) {
            throw new BadCheckpointException(
                    file, "holds no tasks with their preset; give the FILE of 'nibble eval tasks MODEL --json FILE'");
        }
        List<MeasuredTask> found = new ArrayList<>();
        for (JsonNode task : json.path("tasks")) {
            if (!task.path("group").isTextual()) {
                for (JsonNode metric : task.path("metrics")) {
                    found.add(of(file, json, task.path("task").asText(), "", task.path("recipe"), metric));
                }
            }
        }
        for (JsonNode group : json.path("groups")) {
            JsonNode recipe = json.path("no such field");
            for (JsonNode task : json.path("tasks")) {
                if (holds(group, task)) {
                    recipe = task.path("recipe");
                    break;
                }
            }
            String average = switch (group.path("average").asText("")) {
                case "mean_of_tasks" -> ", mean of " + group.path("tasks").asInt() + " subjects";
                case "normalized" -> ", normalized";
                default -> ", by documents";
            };
            found.add(of(file, json, group.path("group").asText(), average, recipe, group));
        }
        return found;
    }

    private static boolean holds(JsonNode group, JsonNode task) {
        for (JsonNode member : group.path("members")) {
            if (member.equals(task.path("task"))) {
                return true;
            }
        }
        return task.path("group").asText("").equals(group.path("group").asText());
    }

    private static MeasuredTask of(
            Path file, JsonNode result, String task, String average, JsonNode recipe, JsonNode figure) {
        if (!figure.path("value").isNumber()
                || !figure.path("metric").isTextual()
                || !figure.path("documents").isInt()
                || !recipe.path("fewshot").isInt()) {
            throw new BadCheckpointException(
                    file,
                    "a figure of " + task + " has no value, metric, documents or number of examples; measure again");
        }
        String name = figure.path("metric").asText();
        boolean fraction = !name.contains("perplexity") && !name.equals("bits_per_byte");
        long count = figure.path("documents").longValue();
        JsonNode limit = result.path("limit");
        JsonNode partOf = recipe.path("dataset").path("part_of");
        String documents =
                count + (limit.isNumber() ? " (a first part)" : partOf.isNumber() ? " of " + partOf.asLong() : "");
        return new MeasuredTask(
                task,
                name + average,
                result.path("preset").asText(),
                recipe.path("fewshot").longValue(),
                documents,
                figure.path("value").doubleValue(),
                figure.path("stderr").isNumber()
                        ? (Double) figure.path("stderr").doubleValue()
                        : null,
                fraction,
                String.join(
                        "/",
                        task,
                        name + average,
                        result.path("preset").asText(),
                        documents,
                        recipe.path("fewshot").asText(),
                        recipe.path("fewshot_source").asText(),
                        recipe.path("bos").asText(),
                        recipe.path("context_tokens").asText(),
                        recipe.path("dataset").path("sha256").asText()));
    }

    /**
     * Rows of the card's table: each figure of the checkpoint beside the baseline's that was measured in the same way.
     */
    static List<Map<String, Object>> rows(List<MeasuredTask> quantized, List<MeasuredTask> baseline) {
        List<Map<String, Object>> rows = new ArrayList<>();
        for (MeasuredTask one : quantized) {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("task", one.task);
            row.put("metric", one.metric);
            row.put("preset", one.preset);
            row.put("fewshot", one.fewshot);
            row.put("documents", one.documents);
            row.put("quantized", one.shown());
            row.put("baseline", "");
            row.put("gap", "");
            for (MeasuredTask other : baseline) {
                if (other.sameAs.equals(one.sameAs)) {
                    row.put("baseline", other.shown());
                    row.put("gap", (one.value < other.value ? "" : "+") + one.decimals(one.value - other.value));
                }
            }
            rows.add(row);
        }
        return rows;
    }

    /** The figure as an entry of the metadata's model-index; fractions in percent, as in the card's table. */
    Map<String, Object> result() {
        String name = metric + (fraction ? ", %" : "") + " (" + fewshot + " examples, " + preset + ", " + documents
                + " documents)";
        String type = metric.contains(",") ? metric.substring(0, metric.indexOf(',')) : metric;
        return ModelIndex.result(task, "", type, name, Double.parseDouble(decimals(value)));
    }

    private String shown() {
        return decimals(value) + (stderr == null ? "" : " ± " + decimals(stderr));
    }

    private String decimals(double figure) {
        return fraction ? String.format(Locale.ROOT, "%.2f", 100 * figure) : String.format(Locale.ROOT, "%.4f", figure);
    }
}
