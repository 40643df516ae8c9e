package nibble.eval.harness;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.datasets.BadDatasetException;
import nibble.datasets.evaluation.DataSplits;
import org.jspecify.annotations.Nullable;

/**
 * Holds a task as its file describes it, read with the harness's defaults.
 *
 * @param values the keys of the file and of those that it includes
 * @param place of the file, for messages
 * @param base the folder of the file; none where it comes with Nibble
 */
record TaskConfig(Map<String, @Nullable Object> values, String place, Optional<java.nio.file.Path> base) {
    private static final Set<String> KEYS =
            Set.of(("task task_alias tag custom_dataset dataset_path dataset_name dataset_kwargs training_split"
                            + " validation_split test_split fewshot_split process_docs doc_to_text doc_to_target"
                            + " doc_to_image doc_to_audio unsafe_code doc_to_choice process_results use_prompt"
                            + " description target_delimiter fewshot_delimiter fewshot_config num_fewshot metric_list"
                            + " output_type generation_kwargs repeats filter_list should_decontaminate"
                            + " doc_to_decontamination_query gen_prefix metadata group task_list")
                    .split(" "));
    private static final List<String> NOT_HERE =
            List.of("class", "custom_dataset", "doc_to_image", "doc_to_audio", "use_prompt");

    /** Kinds of questions. */
    enum Output {
        MULTIPLE_CHOICE,
        LOGLIKELIHOOD,
        LOGLIKELIHOOD_ROLLING,
        GENERATE_UNTIL
    }

    /**
     * A figure to compute.
     *
     * @param options keys beside the known ones, as {@code ignore_case}
     */
    record Metric(
            String name, Aggregation aggregation, boolean higherIsBetter, Map<String, @Nullable Object> options) {}

    /** Steps that a response goes through before it is judged. */
    record Filter(String name, List<Map<String, @Nullable Object>> steps) {}

    /** @throws BadDatasetException for keys that are unknown, or that ask for what Nibble does not do */
    TaskConfig {
        for (String key : NOT_HERE) {
            if (values.get(key) instanceof FunctionName function) {
                throw function.unknown("as the value of " + key);
            }
            if (values.get(key) != null) {
                throw new BadDatasetException(place + ": " + key + " is not supported");
            }
        }
        for (String key : values.keySet()) {
            if (!KEYS.contains(key)) {
                throw new BadDatasetException(place + ": the key " + key + " is unknown; correct it or leave it out");
            }
        }
        if (Boolean.TRUE.equals(values.get("unsafe_code"))) {
            throw new BadDatasetException(
                    place + ": unsafe_code is not supported: Nibble runs no code that a model wrote");
        }
    }

    String name() {
        return text("task").orElseThrow(() -> wrong("task", "a name"));
    }

    String alias() {
        return text("task_alias").orElse(name());
    }

    Optional<String> text(String key) {
        return Optional.ofNullable(values.get(key)).map(String::valueOf);
    }

    /** The value of a key with a default. */
    Object value(String key, Object otherwise) {
        Object value = values.get(key);
        return value == null ? otherwise : value;
    }

    BadDatasetException wrong(String key, String expected) {
        return new BadDatasetException(
                place + ": " + key + " is " + values.get(key) + ", expected " + expected + "; correct the file");
    }

    Output output() {
        String kind = text("output_type").orElse("generate_until");
        return switch (kind) {
            case "multiple_choice" -> Output.MULTIPLE_CHOICE;
            case "loglikelihood" -> Output.LOGLIKELIHOOD;
            case "loglikelihood_rolling" -> Output.LOGLIKELIHOOD_ROLLING;
            case "generate_until" -> Output.GENERATE_UNTIL;
            default ->
                throw wrong("output_type", "multiple_choice, loglikelihood, loglikelihood_rolling or generate_until");
        };
    }

    DataSplits.Source source() {
        Map<String, Object> options = new LinkedHashMap<>();
        map("dataset_kwargs").forEach((key, value) -> {
            if (value != null) {
                options.put(key, value);
            }
        });
        return new DataSplits.Source(
                text("dataset_path").orElseThrow(() -> wrong("dataset_path", "a name or path")),
                text("dataset_name").orElse(""),
                options,
                base);
    }

    /** The part to measure on. */
    String measuredSplit() {
        return text("test_split").or(() -> text("validation_split")).orElseThrow(() -> wrong("test_split", "a part"));
    }

    String targetDelimiter() {
        return text("target_delimiter").orElse(" ");
    }

    String fewshotDelimiter() {
        return text("fewshot_delimiter").orElse("\n\n");
    }

    /** Examples before each question; empty where the file leaves it open. */
    Optional<Integer> shots() {
        Object value = values.get("num_fewshot");
        if (value == null) {
            return Optional.empty();
        }
        if (value instanceof Long number && number >= 0 && number < 10_000) {
            return Optional.of(number.intValue());
        }
        throw wrong("num_fewshot", "a number");
    }

    /** Says of examples what the file says, or else of questions. */
    @Nullable
    Object ofExamples(String key) {
        Map<String, @Nullable Object> own = map("fewshot_config");
        return own.get(key) != null ? own.get(key) : values.get(key);
    }

    Optional<String> fewshotSplit() {
        return Optional.ofNullable(map("fewshot_config").get("split"))
                .map(String::valueOf)
                .or(() -> text("fewshot_split"));
    }

    String sampler() {
        Object sampler = map("fewshot_config").get("sampler");
        return sampler == null ? "default" : String.valueOf(sampler);
    }

    int repeats() {
        return value("repeats", 1L) instanceof Long number && number >= 1 && number <= 1000 ? number.intValue() : 1;
    }

    Object version() {
        return map("metadata").getOrDefault("version", "Yaml") instanceof Object version ? version : "Yaml";
    }

    Map<String, @Nullable Object> map(String key) {
        return map(values.get(key), key);
    }

    private Map<String, @Nullable Object> map(@Nullable Object value, String key) {
        if (value == null) {
            return Map.of();
        }
        if (value instanceof FunctionName function) {
            throw function.unknown("as the value of " + key);
        }
        if (value instanceof Map<?, ?> map) {
            Map<String, @Nullable Object> found = new LinkedHashMap<>();
            map.forEach((name, one) -> found.put(String.valueOf(name), one));
            return found;
        }
        throw wrong(key, "a map");
    }

    List<Metric> metrics() {
        Object list = values.get("metric_list");
        if (list == null) {
            return Aggregation.usual(output()).stream()
                    .map(name ->
                            new Metric(name, Aggregation.of(name, this), Aggregation.higherIsBetter(name), Map.of()))
                    .toList();
        }
        if (!(list instanceof List<?> entries)) {
            throw wrong("metric_list", "a list");
        }
        List<Metric> metrics = new ArrayList<>();
        for (Object entry : entries) {
            Map<String, @Nullable Object> keys = map(entry, "metric_list");
            if (keys.get("metric") instanceof FunctionName function) {
                throw function.unknown("as a metric");
            }
            String name = String.valueOf(keys.get("metric"));
            Object aggregation = keys.get("aggregation");
            if (Boolean.TRUE.equals(keys.get("hf_evaluate"))) {
                throw new BadDatasetException(place + ": metric " + name + " of the library evaluate is not supported");
            }
            boolean higher =
                    keys.get("higher_is_better") instanceof Boolean said ? said : Aggregation.higherIsBetter(name);
            Map<String, @Nullable Object> options = new LinkedHashMap<>(keys);
            List.of("metric", "aggregation", "higher_is_better", "hf_evaluate").forEach(options::remove);
            metrics.add(new Metric(
                    name,
                    switch (aggregation) {
                        case null -> Aggregation.of(name, this);
                        case FunctionName function -> PythonFunctions.ofAggregation(function);
                        default -> Aggregation.named(aggregation.toString(), this);
                    },
                    higher,
                    options));
        }
        return metrics;
    }

    List<Filter> filters() {
        Object list = values.get("filter_list");
        if (list == null) {
            return List.of(new Filter("none", List.of(Map.of("function", "take_first"))));
        }
        if (!(list instanceof List<?> entries)) {
            throw wrong("filter_list", "a list");
        }
        List<Filter> filters = new ArrayList<>();
        for (Object entry : entries) {
            Map<String, @Nullable Object> keys = map(entry, "filter_list");
            if (!(keys.get("filter") instanceof List<?> steps)) {
                throw wrong("filter_list", "a name and a list of steps in each");
            }
            filters.add(new Filter(
                    String.valueOf(keys.get("name")),
                    steps.stream().map(step -> map(step, "filter_list")).toList()));
        }
        return filters;
    }
}
