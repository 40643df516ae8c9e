package nibble.eval.tasks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import nibble.datasets.BadDatasetException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvaluationJsonTest {
    @TempDir
    private Path folder;

    @Test
    void a_result_comes_back_as_it_was_written() throws Exception {
        EvaluationResult result = result();

        Path file = Files.writeString(folder.resolve("result.json"), EvaluationJson.text(result));

        assertThat(EvaluationJson.read(file)).isEqualTo(result);
    }

    @Test
    void fields_are_in_snake_case_and_a_document_takes_one_line() {
        assertThat(EvaluationJson.text(result()).lines())
                .anyMatch(line -> line.strip().equals("\"nibble_version\" : \"0.1.0\","))
                .anyMatch(line ->
                        line.contains("{\"document\":3,\"requests\":[{\"context_tokens\":7,\"continuation_tokens\":2,"
                            + "\"truncated_tokens\":0,\"log_likelihood\":-1.5,\"greedy\":false}],\"gold\":1,\"pick\":0,"
                            + "\"metrics\":{\"acc\":0.0}}"))
                .noneMatch(line -> line.contains("null"));
    }

    @Test
    void what_is_no_result_is_refused_with_the_reason() throws Exception {
        Path perplexity = Files.writeString(folder.resolve("perplexity.json"), "{\"perplexity\": 5.47}");
        Path other = Files.writeString(
                folder.resolve("other.json"),
                EvaluationJson.text(result()).replace(EvaluationResult.SCHEMA, "nibble-eval-tasks-0"));

        assertThatThrownBy(() -> EvaluationJson.read(perplexity))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("not a file of 'nibble eval tasks --json'");
        assertThatThrownBy(() -> EvaluationJson.read(other))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("nibble-eval-tasks-0");
    }

    private static EvaluationResult result() {
        TaskRecipe recipe = new TaskRecipe(
                "leaderboard-v1",
                new DatasetPart("ARC-Challenge test", "bundled", "ab", 1172, null),
                25,
                "train",
                42,
                false,
                4096,
                List.of("limit 1"));
        DocumentResult document =
                new DocumentResult(3, List.of(new RequestResult(7, 2, 0, -1.5, false)), 1, 0, null, Map.of("acc", 0.0));
        TaskResult task = new TaskResult(
                "arc_challenge", null, recipe, List.of(new MetricValue("acc", 0, null, 1, true)), 0, List.of(document));
        return new EvaluationResult(
                EvaluationResult.SCHEMA,
                "0.1.0",
                "models/wiki-7m",
                "cpu",
                "leaderboard-v1",
                false,
                1,
                List.of(task),
                List.of(new GroupResult("mmlu", "acc", "mean_of_tasks", 0.25, 0.01, 57, 14042)),
                new Throughput(4, 0, 100, 400, 1e9, 2, 2, 5e8));
    }
}
