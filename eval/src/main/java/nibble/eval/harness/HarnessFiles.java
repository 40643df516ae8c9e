package nibble.eval.harness;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import nibble.datasets.Utf8File;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.GroupResult;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.TaskResult;
import nibble.files.Version;
import nibble.files.WholeFile;
import org.jspecify.annotations.Nullable;

/**
 * Writes results as lm-evaluation-harness does, so that its table maker and people's scripts read them.
 *
 * @param modelFacts what {@code model_args} says of the model
 * @param template the source of the chat template that was applied; null for none
 */
public record HarnessFiles(
        HarnessTasks tasks,
        EvaluationResult result,
        Map<String, String> modelFacts,
        @Nullable String template) {
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    private static final String UNKNOWN = "N/A";

    /**
     * Writes {@code results_TIME.json} below a folder of the model's name, and a file of samples for each task.
     *
     * @param out a folder, or a name that ends in {@code .json}: then the file is named after it
     * @return the file of results
     * @throws IOException if a file cannot be written
     */
    public Path write(Path out, boolean samples) throws IOException {
        String time = LocalDateTime.now().toString().replace(':', '-');
        boolean isFile = out.toString().endsWith(".json");
        Path folder = isFile ? out.toAbsolutePath().resolveSibling("") : out.resolve(sanitized(result.model()));
        Files.createDirectories(folder);
        String stem = String.valueOf(out.getFileName()).replaceAll("\\.json$", "");
        Path file = folder.resolve((isFile ? stem : "results") + "_" + time + ".json");
        Map<String, String> hashes = new LinkedHashMap<>();
        for (TaskResult task : result.tasks()) {
            if (samples) {
                HarnessSamples lines = new HarnessSamples(tasks, task);
                Path one = folder.resolve("samples_" + task.task() + "_" + time + ".jsonl");
                WholeFile.write(one, String.join("\n", lines.lines()) + "\n");
                hashes.put(task.task(), lines.hash());
            }
        }
        WholeFile.write(file, JSON.writeValueAsString(content(hashes)) + "\n");
        return file;
    }

    private static String sanitized(String model) {
        return model.replaceAll("[\"<>:/|\\\\?*\\[\\]]+", "__");
    }

    private Map<String, @Nullable Object> content(Map<String, String> hashes) {
        Map<String, @Nullable Object> content = new LinkedHashMap<>();
        Map<String, Object> results = new LinkedHashMap<>();
        result.tasks().forEach(task -> results.put(task.task(), task(task)));
        Map<String, Object> groups = new LinkedHashMap<>();
        tasks.groups().forEach((name, group) -> {
            results.put(name, group(group));
            if (!group.averages().isEmpty()) {
                groups.put(name, group(group));
            }
        });
        content.put("results", results);
        if (!groups.isEmpty()) {
            content.put("groups", groups);
        }
        content.put(
                "group_subtasks",
                tasks.groups().values().stream()
                        .collect(Collectors.toMap(
                                TaskGroup::name, TaskGroup::members, (a, _) -> a, LinkedHashMap::new)));
        content.put("configs", sorted(TaskResult::task, task -> config(task)));
        Map<String, Object> versions =
                sorted(TaskResult::task, task -> file(task).config().version());
        tasks.groups().forEach((name, group) -> versions.put(name, group.version()));
        content.put("versions", versions);
        Map<String, Object> shots =
                sorted(TaskResult::task, task -> task.recipe().fewshot());
        Map<String, Object> higher = sorted(TaskResult::task, this::higher);
        tasks.groups().values().forEach(group -> ofMembers(group, shots, higher));
        content.put("n-shot", shots);
        content.put("higher_is_better", higher);
        content.put(
                "n-samples",
                sorted(
                        TaskResult::task,
                        task -> Map.of(
                                "original",
                                file(task).count(),
                                "effective",
                                task.documents().size())));
        content.put("config", run());
        content.put("git_hash", null);
        content.put("date", Instant.now().toEpochMilli() / 1000.0);
        content.put("nibble_version", Version.NIBBLE);
        content.put("max_length", result.tasks().getFirst().recipe().contextTokens());
        content.put("task_hashes", hashes);
        content.put("model_source", "nibble");
        content.put("model_name", result.model());
        content.put("model_name_sanitized", sanitized(result.model()));
        HarnessOptions.Chat chat = tasks.asked().chat();
        content.put("system_instruction", chat.system());
        content.put("system_instruction_sha", hash(chat.system()));
        content.put("fewshot_as_multiturn", chat.multiturn());
        content.put("chat_template", template);
        content.put("chat_template_sha", hash(template));
        content.put(
                "total_evaluation_time_seconds",
                String.valueOf(result.throughput().wallSeconds()));
        return content;
    }

    private static @Nullable String hash(@Nullable String text) {
        return text == null || text.isEmpty() ? null : Utf8File.sha256(text.getBytes(StandardCharsets.UTF_8));
    }

    private FileTask file(TaskResult task) {
        FileTask file = tasks.tasks().get(task.task());
        if (file == null) {
            throw new IllegalStateException("no file of task " + task.task());
        }
        return file;
    }

    private Map<String, Object> sorted(
            java.util.function.Function<TaskResult, String> name,
            java.util.function.Function<TaskResult, Object> value) {
        Map<String, Object> map = new TreeMap<>();
        result.tasks().forEach(task -> map.put(name.apply(task), value.apply(task)));
        return map;
    }

    /** {@code acc,none} for the figure that Nibble calls {@code acc}. */
    private static String key(String metric, String suffix) {
        int comma = metric.indexOf(',');
        return comma < 0 ? metric + suffix + ",none" : metric.substring(0, comma) + suffix + metric.substring(comma);
    }

    private Map<String, Object> task(TaskResult task) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("name", task.task());
        values.put("alias", file(task).config().alias());
        values.put("sample_len", task.documents().size());
        for (MetricValue metric : task.metrics()) {
            values.put(key(metric.metric(), ""), metric.value());
            values.put(key(metric.metric(), "_stderr"), metric.stderr() == null ? UNKNOWN : metric.stderr());
        }
        return values;
    }

    private Map<String, Object> group(TaskGroup group) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("alias", group.alias());
        values.put("name", group.name());
        if (group.averages().isEmpty()) {
            return values;
        }
        values.put(
                "sample_len",
                result.tasks().stream()
                        .filter(task -> group.tasks().contains(task.task()))
                        .mapToInt(task -> task.documents().size())
                        .sum());
        Map<String, Object> counts = new LinkedHashMap<>();
        for (GroupResult average : result.groups()) {
            if (average.group().equals(group.name()) && !average.average().equals(GroupResult.NORMALIZED)) {
                values.put(key(average.metric(), ""), average.value());
                values.put(key(average.metric(), "_stderr"), average.stderr() == null ? UNKNOWN : average.stderr());
                counts.put(key(average.metric(), ""), average.documents());
            }
        }
        values.put("sample_count", counts);
        return values;
    }

    private Map<String, Object> higher(TaskResult task) {
        Map<String, Object> higher = new LinkedHashMap<>();
        file(task).rules().metrics().forEach(metric -> higher.put(metric.name(), metric.higherIsBetter()));
        return higher;
    }

    /** What all tasks of a group have in common. */
    private static void ofMembers(TaskGroup group, Map<String, Object> shots, Map<String, Object> higher) {
        List<Object> counts = group.tasks().stream()
                .map(shots::get)
                .filter(java.util.Objects::nonNull)
                .distinct()
                .toList();
        if (counts.size() == 1) {
            shots.put(group.name(), counts.getFirst());
        }
        Map<Object, Object> all = new LinkedHashMap<>();
        for (String task : group.tasks()) {
            if (higher.get(task) instanceof Map<?, ?> own) {
                own.forEach((metric, value) -> all.merge(metric, value, (a, b) -> a.equals(b) ? a : UNKNOWN));
            }
        }
        higher.put(group.name(), all);
    }

    private Map<String, @Nullable Object> config(TaskResult task) {
        TaskConfig config = file(task).config();
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        config.values().forEach((key, value) -> values.put(key, plain(value)));
        values.values().removeIf(java.util.Objects::isNull);
        values.putIfAbsent("description", "");
        values.put("target_delimiter", config.targetDelimiter());
        values.put("fewshot_delimiter", config.fewshotDelimiter());
        values.put("num_fewshot", task.recipe().fewshot());
        values.putIfAbsent("output_type", "generate_until");
        values.put("repeats", config.repeats());
        if (config.output() == TaskConfig.Output.GENERATE_UNTIL) {
            values.put("generation_kwargs", file(task).generation());
        }
        Map<String, @Nullable Object> metadata = new LinkedHashMap<>(config.map("metadata"));
        metadata.put("config_source", config.place());
        values.put("metadata", metadata);
        return values;
    }

    private static @Nullable Object plain(@Nullable Object value) {
        return switch (value) {
            case FunctionName function -> function.name();
            case Map<?, ?> map -> {
                Map<Object, @Nullable Object> made = new LinkedHashMap<>();
                map.forEach((key, one) -> made.put(key, plain(one)));
                yield made;
            }
            case List<?> list -> {
                List<@Nullable Object> made = new ArrayList<>();
                list.forEach(one -> made.add(plain(one)));
                yield made;
            }
            case null -> null;
            default -> value;
        };
    }

    private Map<String, @Nullable Object> run() {
        HarnessOptions asked = tasks.asked();
        Map<String, @Nullable Object> run = new LinkedHashMap<>();
        run.put("model", "nibble");
        run.put("model_args", modelFacts);
        run.put("batch_size", 1);
        run.put("device", result.device());
        run.put("use_cache", null);
        run.put(
                "limit",
                asked.limit().equals(HarnessOptions.Limit.NONE)
                        ? null
                        : asked.limit().value());
        run.put("bootstrap_iters", Bootstrap.DRAWN);
        run.put("gen_kwargs", asked.generation().isEmpty() ? null : asked.generation());
        run.put("fewshot_seed", asked.seed());
        return run;
    }
}
