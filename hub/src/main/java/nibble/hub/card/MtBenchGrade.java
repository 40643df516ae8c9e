package nibble.hub.card;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import nibble.checkpoint.source.BadCheckpointException;

/**
 * MT-bench's grade of the checkpoint, as {@code nibble eval mt-bench judge --json} states it.
 *
 * @param judge the model that graded
 * @param prompts a file's name, or {@code nibble}
 */
record MtBenchGrade(double score, double first, String second, String judge, String prompts, long judgments) {

    /** @throws BadCheckpointException if the JSON has no score */
    static MtBenchGrade read(Path file, JsonNode json) {
        if (!json.path("score").isNumber()
                || !json.path("first_turn").isNumber()
                || !json.path("judge").isTextual()) {
            throw new BadCheckpointException(
                    file, "its grades have no number score or first_turn, or no judge; grade again");
        }
        String prompts = json.path("prompts").asText();
        return new MtBenchGrade(
                json.path("score").doubleValue(),
                json.path("first_turn").doubleValue(),
                json.path("second_turn").isNumber()
                        ? shown(json.path("second_turn").doubleValue())
                        : "",
                json.path("judge").asText(),
                prompts.substring(Math.max(prompts.lastIndexOf('/'), prompts.lastIndexOf('\\')) + 1),
                json.path("judgments").longValue());
    }

    private static String shown(double score) {
        return String.format(Locale.ROOT, "%.2f", score);
    }

    /** The card's row. */
    Map<String, Object> row() {
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("score", shown(score));
        row.put("first_turn", shown(first));
        row.put("second_turn", second);
        row.put("judge", judge);
        row.put("prompts", prompts);
        row.put("judgments", judgments);
        return row;
    }

    /** The grade as an entry of the metadata's model-index. */
    Map<String, Object> result() {
        String name = "score, 1 to 10 (judged by " + judge + ", prompts " + prompts + ")";
        return ModelIndex.result("mt_bench", "", "score", name, Double.parseDouble(shown(score)));
    }

    /** Rows of the card. */
    static List<Map<String, Object>> rows(List<MtBenchGrade> grades) {
        return grades.stream().map(MtBenchGrade::row).toList();
    }
}
