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
 * What files of {@code nibble eval} hold: a perplexity, a model's tasks, the tasks of a model beside its baseline's, or
 * grades of MT-bench.
 *
 * @param perplexities of the checkpoint
 * @param tasks of the checkpoint
 * @param baselines tasks of the original, where a file has both
 * @param divergences of the next-token distributions, a row of the card each
 * @param grades of MT-bench
 */
record Measurements(
        List<MeasuredPerplexity> perplexities,
        List<MeasuredTask> tasks,
        List<MeasuredTask> baselines,
        List<Map<String, Object>> divergences,
        List<MtBenchGrade> grades) {
    private static final String TASKS = "nibble-eval-tasks-1";
    private static final String GRADES = "nibble-mt-bench-1";
    private static final String COMPARISON = "nibble-eval-comparison-1";

    /** @throws BadCheckpointException if a file is none of these */
    static Measurements read(List<Path> files) {
        Measurements found = new Measurements(
                new ArrayList<>(), new ArrayList<>(), new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
        for (Path file : files) {
            JsonNode json = ModelCard.json(file, ModelCard.text(file));
            switch (json.path("schema").asText("")) {
                case TASKS -> found.tasks.addAll(MeasuredTask.read(file, json));
                case COMPARISON -> {
                    found.tasks.addAll(MeasuredTask.read(file, json.path("model")));
                    found.baselines.addAll(MeasuredTask.read(file, json.path("baseline")));
                    if (json.path("divergence").isObject()) {
                        found.divergences.add(divergence(file, json.path("divergence")));
                    }
                }
                case GRADES -> found.grades.add(MtBenchGrade.read(file, json));
                case "" -> found.perplexities.add(MeasuredPerplexity.read(file, json));
                default ->
                    throw new BadCheckpointException(
                            file,
                            "schema " + json.path("schema") + " is not known to this version; measure again with it");
            }
        }
        return found;
    }

    /** The original's tasks, from the same files or from those that are the original's alone. */
    List<MeasuredTask> baselineTasks(Measurements baseline) {
        List<MeasuredTask> all = new ArrayList<>(baselines);
        all.addAll(baseline.tasks);
        return all;
    }

    private static Map<String, Object> divergence(Path file, JsonNode json) {
        for (String field : List.of("mean_kl", "same_likeliest", "windows", "context_tokens")) {
            if (!json.path(field).isNumber()) {
                throw new BadCheckpointException(file, "its divergence has no number " + field + "; measure again");
            }
        }
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("dataset", json.path("dataset").asText("text"));
        row.put("windows", json.path("windows").longValue());
        row.put("context_tokens", json.path("context_tokens").longValue());
        row.put(
                "mean_kl",
                String.format(Locale.ROOT, "%.5f", json.path("mean_kl").doubleValue()));
        row.put(
                "same_likeliest",
                String.format(
                        Locale.ROOT,
                        "%.2f %%",
                        100 * json.path("same_likeliest").doubleValue()));
        return row;
    }
}
