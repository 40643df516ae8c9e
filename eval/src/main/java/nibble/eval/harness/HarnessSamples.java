package nibble.eval.harness;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import nibble.datasets.Utf8File;
import nibble.eval.harness.functions.PythonStr;
import nibble.eval.tasks.Ask;
import nibble.eval.tasks.DocumentResult;
import nibble.eval.tasks.PreparedTask;
import nibble.eval.tasks.RequestResult;
import nibble.eval.tasks.TaskResult;
import nibble.jinja.Template;
import nibble.jinja.python.Repr;
import org.jspecify.annotations.Nullable;

/** Writes a task's documents with their requests and responses as lm-evaluation-harness's {@code --log_samples}. */
final class HarnessSamples {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** As Python's {@code json.dumps(document, indent=2, ensure_ascii=False)}. */
    private static final Template DOCUMENT = Template.chat("{{ document | tojson(indent=2) }}");

    private final FileTask task;
    private final List<String> lines = new ArrayList<>();
    private final StringBuilder hashes = new StringBuilder();

    HarnessSamples(HarnessTasks tasks, TaskResult result) {
        this.task = Objects.requireNonNull(tasks.tasks().get(result.task()));
        Map<Integer, PreparedTask.Item> items = new HashMap<>();
        tasks.prepared(result.task()).items().forEach(item -> items.put(item.number(), item));
        for (ResponseFilter filter : task.rules().filters()) {
            for (DocumentResult document : result.documents()) {
                lines.add(line(Objects.requireNonNull(items.get(document.document())), document, filter));
            }
        }
    }

    List<String> lines() {
        return lines;
    }

    /** Tells the documents, prompts and targets of a run from others. */
    String hash() {
        return hash(hashes.toString());
    }

    private static String hash(String text) {
        return Utf8File.sha256(text.getBytes(StandardCharsets.UTF_8));
    }

    private String line(PreparedTask.Item item, DocumentResult result, ResponseFilter filter) {
        Map<String, @Nullable Object> document =
                Objects.requireNonNull(task.documents().get(item.number()));
        Object target = task.texts().target(document, task.config().values().get("doc_to_target"));
        String targetText = PythonStr.of(target);
        List<List<@Nullable Object>> arguments = arguments(item.ask());
        Map<String, Object> values = task.rules().values(document, result, filter);
        Map<String, @Nullable Object> sample = new LinkedHashMap<>();
        sample.put("doc_id", item.number());
        sample.put("doc", document);
        sample.put("target", targetText);
        sample.put("arguments", named(arguments));
        sample.put("resps", responses(result, true));
        sample.put("filtered_resps", filtered(document, result, filter));
        sample.put("filter", filter.name());
        sample.put("metrics", List.copyOf(values.keySet()));
        String documentHash = hash(DOCUMENT.render(Map.of("document", document), ZonedDateTime::now));
        String promptHash = hash(String.valueOf(arguments.getFirst().getFirst()));
        sample.put("doc_hash", documentHash);
        sample.put("prompt_hash", promptHash);
        sample.put("target_hash", hash(targetText));
        hashes.append(documentHash).append(promptHash).append(hash(targetText));
        values.forEach((metric, value) -> sample.put(metric, value(value)));
        try {
            return JSON.writeValueAsString(sample);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a sample cannot be written as JSON", e);
        }
    }

    static @Nullable Object value(@Nullable Object value) {
        return switch (value) {
            case Aggregation.Pair(double first, double second) -> List.of(first, second);
            case Aggregation.Classes(int gold, double[] probabilities) -> List.of(gold, probabilities);
            case Aggregation.Written(Object references, Object text) -> List.of(references, text);
            case null -> null;
            default -> value;
        };
    }

    private List<List<@Nullable Object>> arguments(Ask ask) {
        return switch (ask) {
            case Ask.Choices(List<Ask.Request> requests) ->
                requests.stream()
                        .map(request -> List.<@Nullable Object>of(request.context(), request.continuation()))
                        .toList();
            case Ask.Rolling(String text) -> List.of(List.of(text));
            case Ask.Writing writing -> List.of(List.of(writing.prompt(), task.generation()));
        };
    }

    private static Map<String, Object> named(List<List<@Nullable Object>> arguments) {
        Map<String, Object> named = new LinkedHashMap<>();
        for (int i = 0; i < arguments.size(); i++) {
            Map<String, @Nullable Object> one = new LinkedHashMap<>();
            for (int j = 0; j < arguments.get(i).size(); j++) {
                one.put("arg_" + j, arguments.get(i).get(j));
            }
            named.put("gen_args_" + i, one);
        }
        return named;
    }

    /** Responses as texts: of each request a list of one or, repeated, of several. */
    private List<Object> responses(DocumentResult result, boolean listed) {
        List<Object> all = new ArrayList<>();
        if (result.text() != null) {
            all.add(java.util.Collections.nCopies(task.config().repeats(), result.text()));
            return all;
        }
        boolean rolled = task.config().output() == TaskConfig.Output.LOGLIKELIHOOD_ROLLING;
        for (RequestResult request : result.requests()) {
            String sum = Repr.str(request.logLikelihood());
            Object one = rolled ? sum : List.of(sum, request.greedy() ? "True" : "False");
            all.add(listed ? List.of(one) : one);
        }
        return all;
    }

    private List<Object> filtered(
            Map<String, @Nullable Object> document, DocumentResult result, ResponseFilter filter) {
        String text = result.text();
        if (text == null) {
            return responses(result, false);
        }
        Object value = filter.apply(java.util.Collections.nCopies(task.config().repeats(), text), document);
        return List.of(value instanceof List<?> ? value : String.valueOf(value));
    }
}
