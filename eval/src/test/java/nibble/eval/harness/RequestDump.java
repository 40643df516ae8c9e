package nibble.eval.harness;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import nibble.datasets.BadDatasetException;
import nibble.datasets.evaluation.DataSplits;
import nibble.datasets.evaluation.EvaluationData;
import nibble.eval.tasks.Ask;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.PreparedTask;
import nibble.eval.tasks.Preset;

/**
 * Writes the requests of tasks, for {@code eval/fixtures/compare_requests.py}, which makes the harness make them too.
 *
 * <pre>
 * RequestDump OUT SHOTS LIMIT DATA|- INCLUDE|- TASK…      SHOTS -1: as the files say
 * </pre>
 */
final class RequestDump {
    private static final ObjectMapper JSON = new ObjectMapper();

    private RequestDump() {}

    public static void main(String[] arguments) throws Exception {
        int shots = Integer.parseInt(arguments[1]);
        EvaluationOptions options = new EvaluationOptions(
                Preset.LM_EVAL_0_4_13,
                shots < 0 ? OptionalInt.empty() : OptionalInt.of(shots),
                OptionalInt.empty(),
                false,
                false,
                true);
        HarnessOptions asked = new HarnessOptions(
                path(arguments[4]),
                new HarnessOptions.Limit(Double.parseDouble(arguments[2])),
                HarnessOptions.SEED,
                Map.of());
        EvaluationData data = new EvaluationData(path(arguments[3]), Optional.empty());
        DataSplits splits = new DataSplits(data);
        try (PrintStream out = new PrintStream(Files.newOutputStream(Path.of(arguments[0])), false, "UTF-8")) {
            for (String name : List.of(arguments).subList(5, arguments.length)) {
                ObjectNode line = JSON.createObjectNode().put("name", name);
                try {
                    HarnessTasks tasks = new HarnessTasks(List.of(name), asked, options, data);
                    tasks.tasks().forEach((one, task) -> line.set(one, dump(task, splits)));
                } catch (BadDatasetException | IllegalArgumentException e) {
                    line.put("error", e.getMessage());
                }
                out.println(line);
            }
        }
    }

    private static Optional<Path> path(String argument) {
        return argument.equals("-") ? Optional.empty() : Optional.of(Path.of(argument));
    }

    private static ObjectNode dump(FileTask task, DataSplits data) {
        ObjectNode made = JSON.createObjectNode();
        Map<String, Object> splits = new LinkedHashMap<>();
        TaskConfig config = task.config();
        for (String key : List.of("training_split", "validation_split", "test_split", "fewshot_split")) {
            config.text(key).ifPresent(split -> {
                try {
                    splits.put(split, data.require(config.source(), split).rows());
                } catch (BadDatasetException e) {
                    // Not every part is at hand, nor needed.
                }
            });
        }
        made.set("rows", JSON.valueToTree(splits));
        ArrayNode items = made.putArray("items");
        for (PreparedTask.Item item : task.prepare(null, 4096, false, List.of()).items()) {
            ArrayNode requests = items.addArray();
            switch (item.ask()) {
                case Ask.Choices(List<Ask.Request> all) ->
                    all.forEach(r -> requests.addArray().add(r.context()).add(r.continuation()));
                case Ask.Rolling(String text) -> requests.addArray().add(text);
                case Ask.Writing writing ->
                    requests.addArray()
                            .add(writing.prompt())
                            .add(JSON.valueToTree(writing.stops()))
                            .add(writing.newTokens());
            }
        }
        return made;
    }
}
