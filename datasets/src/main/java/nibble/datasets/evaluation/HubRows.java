package nibble.datasets.evaluation;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * Puts bundled rows into the columns of the hub's data set, which the files of tasks name. What was left out of the
 * bundled files, as ids, stays out. A row that has the hub's columns already stays as it is.
 */
final class HubRows {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    private HubRows() {}

    static JsonNode of(EvaluationSet.Rows kind, JsonNode row) {
        return switch (kind) {
            case ARC -> row.has("answerKey") ? row : lettered(row, "question", "question");
            case OPENBOOKQA -> row.has("answerKey") ? row : lettered(row, "query", "question_stem");
            case HELLASWAG -> row.has("ctx_a") ? row : hellaswag(row);
            case MMLU -> row.has("answer") ? row : mmlu(row);
            case TRUTHFULQA -> row.has("mc1_targets") ? row : truthfulqa(row);
            case WINOGRANDE -> row.has("answer") ? row : winogrande(row);
            case PIQA -> row.has("sol1") ? row : piqa(row);
            case LAMBADA -> row.has("text") ? row : lambada(row);
            case GSM8K, WIKITEXT -> row;
        };
    }

    private static JsonNode lettered(JsonNode row, String from, String to) {
        ArrayNode labels = JSON.arrayNode();
        for (int i = 0; i < row.path("choices").size(); i++) {
            labels.add(String.valueOf((char) ('A' + i)));
        }
        ObjectNode made = JSON.objectNode();
        if (row.has("id")) {
            made.set("id", row.path("id"));
        }
        made.set(to, row.path(from));
        made.putObject("choices").<ObjectNode>set("text", row.path("choices")).set("label", labels);
        made.set("answerKey", labels.path(row.path("gold").asInt()));
        return made;
    }

    /** The bundled rows hold what the harness makes of the hub's. */
    private static JsonNode hellaswag(JsonNode row) {
        ObjectNode made = JSON.objectNode();
        made.set("query", row.path("query"));
        made.set("choices", row.path("choices"));
        made.set("gold", row.path("gold"));
        return made.put("label", row.path("gold").asText());
    }

    private static JsonNode mmlu(JsonNode row) {
        ObjectNode made = JSON.objectNode();
        made.set("question", row.path("question"));
        made.set("subject", row.path("subject"));
        made.set("choices", row.path("choices"));
        made.set("answer", row.path("gold"));
        return made;
    }

    private static JsonNode truthfulqa(JsonNode row) {
        ArrayNode first = JSON.arrayNode();
        for (int i = 0; i < row.path("mc1_choices").size(); i++) {
            first.add(i == 0 ? 1 : 0);
        }
        ObjectNode made = JSON.objectNode();
        made.set("question", row.path("question"));
        made.putObject("mc1_targets")
                .<ObjectNode>set("choices", row.path("mc1_choices"))
                .set("labels", first);
        made.putObject("mc2_targets")
                .<ObjectNode>set("choices", row.path("mc2_choices"))
                .set("labels", row.path("mc2_labels"));
        return made;
    }

    private static JsonNode winogrande(JsonNode row) {
        ObjectNode made = JSON.objectNode();
        for (String column : new String[] {"sentence", "option1", "option2"}) {
            made.set(column, row.path(column));
        }
        return made.put("answer", String.valueOf(row.path("gold").asInt() + 1));
    }

    private static JsonNode piqa(JsonNode row) {
        ObjectNode made = JSON.objectNode();
        made.set("goal", row.path("goal"));
        made.set("sol1", row.path("choices").path(0));
        made.set("sol2", row.path("choices").path(1));
        made.set("label", row.path("gold"));
        return made;
    }

    private static JsonNode lambada(JsonNode row) {
        return JSON.objectNode()
                .put(
                        "text",
                        row.path("context").asText() + " "
                                + row.path("continuation").asText());
    }
}
