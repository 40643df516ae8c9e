package nibble.hub.card;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** {@code model-index} of a card's metadata: measured figures in the form that the hub reads and shows. */
final class ModelIndex {
    /**
     * A data set of the hub.
     *
     * @param config one of its configurations; empty if it has one only
     */
    private record HubDataset(String id, String name, String config, String split) {}

    private ModelIndex() {}

    /** The index of a model; empty if nothing was measured. */
    static List<Object> of(String model, Measurements measured) {
        List<Object> results = new ArrayList<>();
        measured.perplexities().forEach(figure -> results.add(figure.result()));
        measured.tasks().forEach(figure -> results.add(figure.result()));
        measured.grades().forEach(grade -> results.add(grade.result()));
        if (results.isEmpty()) {
            return List.of();
        }
        Map<String, Object> index = new LinkedHashMap<>();
        index.put("name", model);
        index.put("results", results);
        return List.of(index);
    }

    /**
     * One figure.
     *
     * @param dataset a task or text as results name it
     * @param split that was measured where the data set is not one of the hub's known here
     */
    static Map<String, Object> result(String dataset, String split, String type, String name, double value) {
        HubDataset known = known(dataset, split);
        Map<String, Object> task = new LinkedHashMap<>();
        task.put("type", "text-generation");
        task.put("name", "Text generation");
        Map<String, Object> measured = new LinkedHashMap<>();
        measured.put("type", known.id);
        measured.put("name", known.name);
        measured.put("config", known.config);
        measured.put("split", known.split);
        Map<String, Object> metric = new LinkedHashMap<>();
        metric.put("type", type);
        metric.put("value", value);
        metric.put("name", name);
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("task", task);
        result.put("dataset", measured);
        result.put("metrics", List.of(metric));
        return result;
    }

    private static HubDataset known(String dataset, String split) {
        return switch (dataset) {
            case "wikitext2", "wikitext" ->
                new HubDataset("Salesforce/wikitext", "WikiText-2", "wikitext-2-raw-v1", "test");
            case "arc_challenge" -> new HubDataset("allenai/ai2_arc", "ARC-Challenge", "ARC-Challenge", "test");
            case "arc_easy" -> new HubDataset("allenai/ai2_arc", "ARC-Easy", "ARC-Easy", "test");
            case "hellaswag" -> new HubDataset("Rowan/hellaswag", "HellaSwag", "", "validation");
            case "mmlu" -> new HubDataset("cais/mmlu", "MMLU", "all", "test");
            case "truthfulqa" ->
                new HubDataset("truthfulqa/truthful_qa", "TruthfulQA", "multiple_choice", "validation");
            case "winogrande" -> new HubDataset("allenai/winogrande", "WinoGrande", "winogrande_xl", "validation");
            case "piqa" -> new HubDataset("baber/piqa", "PIQA", "", "validation");
            case "openbookqa" -> new HubDataset("allenai/openbookqa", "OpenBookQA", "main", "test");
            case "lambada" -> new HubDataset("EleutherAI/lambada_openai", "LAMBADA", "default", "test");
            case "mt_bench" -> new HubDataset("lmsys/mt_bench", "MT-Bench", "", "train");
            case "gsm8k" -> new HubDataset("openai/gsm8k", "GSM8K", "main", "test");
            default -> {
                String text = dataset.substring(Math.max(dataset.lastIndexOf('/'), dataset.lastIndexOf('\\')) + 1);
                yield new HubDataset(text, text, "", split);
            }
        };
    }
}
