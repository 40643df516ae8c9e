package nibble.eval.harness;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonRandom;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import nibble.datasets.evaluation.DataRows;
import nibble.datasets.evaluation.DataSplits;
import nibble.eval.tasks.Ask;
import nibble.eval.tasks.DocumentResult;
import nibble.eval.tasks.EvaluatedModel;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.PreparedTask;
import nibble.eval.tasks.Preset;
import nibble.eval.tasks.RequestResult;
import org.jspecify.annotations.Nullable;

/** A case that {@code eval/fixtures/harness_cases.py} had the harness run, and what Nibble does otherwise. */
record HarnessCase(JsonNode recorded) {
    private static final double CLOSE = 1e-9;

    String name() {
        return recorded.path("name").asText();
    }

    @Override
    public String toString() {
        return name();
    }

    /** The task by the keys that the case holds. */
    FileTask task() {
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        recorded.path("task").properties().forEach(entry -> values.put(entry.getKey(), value(entry.getValue())));
        values.put("task", name());
        return task(new TaskConfig(values, "bundled:case", Optional.empty()));
    }

    /** The task by its file. */
    FileTask task(TaskConfig config) {
        EvaluationOptions options = new EvaluationOptions(
                Preset.LM_EVAL_0_4_13,
                recorded.has("shots") ? OptionalInt.of(recorded.path("shots").asInt()) : OptionalInt.empty(),
                OptionalInt.empty(),
                false,
                false,
                true);
        Map<String, @Nullable Object> greedy = Map.of("do_sample", false);
        HarnessOptions asked = new HarnessOptions(
                Optional.empty(), HarnessOptions.Limit.NONE, HarnessOptions.SEED, samples(config) ? greedy : Map.of());
        return new FileTask(config, asked, options, this::rows, new PythonRandom(0));
    }

    /** Whether the file samples, which Nibble does only greedily. */
    static boolean samples(TaskConfig config) {
        return Boolean.TRUE.equals(config.map("generation_kwargs").get("do_sample"));
    }

    private DataRows rows(DataSplits.Source source, String split) {
        JsonNode all = recorded.path("rows");
        JsonNode own = all.has(split) ? all.path(split) : all.elements().next();
        List<Map<String, @Nullable Object>> rows = new ArrayList<>();
        for (JsonNode row : own) {
            Map<String, @Nullable Object> made = new LinkedHashMap<>();
            row.properties().forEach(entry -> made.put(entry.getKey(), value(entry.getValue())));
            rows.add(made);
        }
        if (rows.isEmpty()) {
            throw new BadDatasetException("the case has no rows of " + split);
        }
        return new DataRows("case", "", List.of(), List.of(), null).with(rows);
    }

    /** What JSON holds, a function's name where there is one. */
    static @Nullable Object value(JsonNode node) {
        if (node.isObject() && node.size() == 2 && node.has("function") && node.has("family")) {
            return new FunctionName(
                    node.path("function").asText(),
                    "bundled:case",
                    node.path("family").asText(),
                    1);
        }
        if (node.isObject()) {
            Map<String, @Nullable Object> map = new LinkedHashMap<>();
            node.properties().forEach(entry -> map.put(entry.getKey(), value(entry.getValue())));
            return map;
        }
        if (node.isArray()) {
            List<@Nullable Object> list = new ArrayList<>();
            node.forEach(one -> list.add(value(one)));
            return list;
        }
        if (node.isNumber()) {
            return node.isIntegralNumber()
                    ? node.canConvertToLong() ? (Object) node.longValue() : new BigInteger(node.asText())
                    : node.doubleValue();
        }
        return node.isBoolean() ? (Object) node.booleanValue() : node.isTextual() ? node.textValue() : null;
    }

    private ChatForm form() {
        JsonNode chat = recorded.path("chat");
        SpecialTokens tokens = new SpecialTokens("<s>", "</s>");
        return new ChatForm(
                Optional.ofNullable(chat.path("template").textValue())
                        .map(source -> new EvaluatedModel.Chat(ChatTemplate.of("made", source), tokens)),
                chat.path("system").asText(""),
                chat.path("multiturn").asBoolean());
    }

    /** What differs from the record, a line each. */
    List<String> differences(FileTask task, boolean errors) {
        List<String> differences = new ArrayList<>();
        PreparedTask prepared = task.prepare(null, 1 << 20, false, List.of(), form());
        JsonNode requests = recorded.path("requests");
        if (requests.size() != prepared.items().size()) {
            differences.add(prepared.items().size() + " documents, recorded " + requests.size());
            return differences;
        }
        for (int i = 0; i < requests.size(); i++) {
            requests(differences, "document " + i, prepared.items().get(i).ask(), requests.get(i));
        }
        if (recorded.has("responses") && differences.isEmpty()) {
            results(differences, task, prepared, errors);
        }
        return differences;
    }

    private static void requests(List<String> differences, String place, Ask ask, JsonNode recorded) {
        List<List<String>> own = new ArrayList<>();
        List<List<String>> other = new ArrayList<>();
        switch (ask) {
            case Ask.Choices(List<Ask.Request> all) ->
                all.forEach(one -> own.add(List.of(one.context(), one.continuation())));
            case Ask.Rolling(String text) -> own.add(List.of(text));
            case Ask.Writing writing -> own.add(List.of(writing.prompt(), writing.newTokens() + " " + writing.stops()));
        }
        for (JsonNode request : recorded) {
            List<String> texts = new ArrayList<>();
            for (JsonNode argument : request) {
                texts.add(argument.isObject() ? most(argument) + " " + stops(argument) : argument.asText());
            }
            other.add(texts);
        }
        if (!own.equals(other)) {
            int at = 0;
            while (at < own.size() && at < other.size() && own.get(at).equals(other.get(at))) {
                at++;
            }
            differences.add(place + ", request " + at + ":\n  own   "
                    + (at < own.size() ? shown(own.get(at)) : "none") + "\n  other "
                    + (at < other.size() ? shown(other.get(at)) : "none"));
        }
    }

    private static String shown(List<String> texts) {
        String text = texts.toString().replace("\n", "\\n");
        return text.length() > 1500 ? text.substring(0, 300) + " … " + text.substring(text.length() - 1000) : text;
    }

    private static int most(JsonNode keys) {
        for (String key : List.of("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")) {
            if (keys.hasNonNull(key)) {
                return keys.path(key).asInt();
            }
        }
        return 256;
    }

    private static List<String> stops(JsonNode keys) {
        List<String> stops = TaskFiles.texts(value(keys.path("until")));
        stops.removeIf(String::isEmpty);
        return stops.stream().distinct().toList();
    }

    private void results(List<String> differences, FileTask task, PreparedTask prepared, boolean errors) {
        List<DocumentResult> results = new ArrayList<>();
        for (PreparedTask.Item item : prepared.items()) {
            JsonNode response = recorded.path("responses").get(item.number());
            results.add(
                    item.ask() instanceof Ask.Writing
                            ? task.rules()
                                    .judged(
                                            item,
                                            response.isTextual()
                                                    ? response.textValue()
                                                    : response.get(0).textValue())
                            : task.rules().judged(item, sums(response)));
        }
        for (JsonNode filter : recorded.path("values")) {
            ResponseFilter own = task.rules().filters().stream()
                    .filter(one -> one.name().equals(filter.path("filter").asText()))
                    .findFirst()
                    .orElseThrow();
            for (int i = 0; i < results.size(); i++) {
                Map<String, Object> values = task.rules()
                        .values(Objects.requireNonNull(task.documents().get(i)), results.get(i), own);
                JsonNode expected = filter.path("documents").get(i);
                String place = "document " + i + ", filter " + own.name();
                Map<String, @Nullable Object> wanted = new LinkedHashMap<>();
                expected.properties().forEach(entry -> wanted.put(entry.getKey(), value(entry.getValue())));
                compare(differences, place, values, wanted);
            }
        }
        figures(differences, task.rules().figures(results), errors);
    }

    private static List<RequestResult> sums(JsonNode response) {
        List<RequestResult> sums = new ArrayList<>();
        response.forEach(pair -> sums.add(
                new RequestResult(3, 1, 0, pair.get(0).asDouble(), pair.get(1).asBoolean())));
        return sums;
    }

    private static void compare(
            List<String> differences, String place, Map<String, Object> own, Map<String, @Nullable Object> wanted) {
        if (!own.keySet().equals(wanted.keySet())) {
            differences.add(place + ": values of " + own.keySet() + ", recorded " + wanted.keySet());
            return;
        }
        wanted.forEach((key, value) -> {
            Object plain = plain(own.get(key));
            if (!close(plain, value)) {
                differences.add(place + ": " + key + " is " + plain + ", recorded " + value);
            }
        });
    }

    private static @Nullable Object plain(@Nullable Object value) {
        return HarnessSamples.value(value);
    }

    private static boolean close(@Nullable Object own, @Nullable Object other) {
        if (own instanceof double[] numbers) {
            return close(java.util.Arrays.stream(numbers).boxed().toList(), other);
        }
        if (own instanceof List<?> list && other instanceof List<?> wanted) {
            if (list.size() != wanted.size()) {
                return false;
            }
            for (int i = 0; i < list.size(); i++) {
                if (!close(list.get(i), wanted.get(i))) {
                    return false;
                }
            }
            return true;
        }
        Object a = own instanceof Boolean yes ? (Object) (yes ? 1L : 0L) : own;
        Object b = other instanceof Boolean yes ? (Object) (yes ? 1L : 0L) : other;
        if (a instanceof Number x && b instanceof Number y) {
            double difference = Math.abs(x.doubleValue() - y.doubleValue());
            return Double.compare(x.doubleValue(), y.doubleValue()) == 0
                    || difference <= CLOSE * Math.max(1, Math.abs(y.doubleValue()));
        }
        return Objects.equals(a, b);
    }

    private void figures(List<String> differences, List<MetricValue> figures, boolean errors) {
        Map<String, @Nullable Object> own = new LinkedHashMap<>();
        for (MetricValue figure : figures) {
            int comma = figure.metric().indexOf(',');
            String metric = comma < 0 ? figure.metric() : figure.metric().substring(0, comma);
            String filter = comma < 0 ? ",none" : figure.metric().substring(comma);
            own.put(metric + filter, figure.value());
            if (errors) {
                own.put(metric + "_stderr" + filter, figure.stderr() == null ? "N/A" : figure.stderr());
            }
        }
        recorded.path("figures").properties().forEach(entry -> {
            if (errors || !entry.getKey().contains("_stderr,")) {
                Object found = own.remove(entry.getKey());
                if (!close(found, value(entry.getValue()))) {
                    differences.add("figure " + entry.getKey() + " is " + found + ", recorded " + entry.getValue());
                }
            }
        });
        if (!own.isEmpty()) {
            differences.add("figures that are not recorded: " + own.keySet());
        }
    }
}
