package nibble.eval.comparison;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.datasets.BadDatasetException;
import nibble.eval.tasks.DatasetPart;
import nibble.eval.tasks.DocumentResult;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.GroupResult;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.RequestResult;
import nibble.eval.tasks.TaskRecipe;
import nibble.eval.tasks.TaskResult;
import nibble.eval.tasks.Throughput;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Differences and their paired errors by hand-made documents whose answer can be worked out. */
public class ModelComparisonTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private static TaskRecipe recipe(String sha256) {
        return new TaskRecipe(
                "leaderboard-v1",
                new DatasetPart("Some test", "bundled", sha256, 4, null),
                5,
                "Some train",
                42,
                false,
                4096,
                List.of("at most 4 documents"));
    }

    private static TaskResult yesOrNo(String task, String group, int... right) {
        List<DocumentResult> documents = new ArrayList<>();
        double sum = 0;
        for (int i = 0; i < right.length; i++) {
            documents.add(new DocumentResult(i, List.of(), 0, 1 - right[i], null, Map.of("acc", (double) right[i])));
            sum += right[i];
        }
        return new TaskResult(
                task,
                group,
                recipe("cafe"),
                List.of(new MetricValue("acc", sum / right.length, 0.1, right.length, true)),
                0,
                documents);
    }

    private static TaskResult pages(double... logLikelihoods) {
        List<DocumentResult> documents = new ArrayList<>();
        double sum = 0;
        for (int i = 0; i < logLikelihoods.length; i++) {
            sum += logLikelihoods[i];
            documents.add(new DocumentResult(
                    i,
                    List.of(new RequestResult(1, 9, 0, logLikelihoods[i], false)),
                    null,
                    null,
                    null,
                    Map.of("words", 10.0, "bytes", 50.0)));
        }
        double words = 10.0 * logLikelihoods.length;
        return new TaskResult(
                "wikitext",
                null,
                recipe("cafe"),
                List.of(new MetricValue("word_perplexity", Math.exp(-sum / words), null, logLikelihoods.length, false)),
                0,
                documents);
    }

    public static EvaluationResult result(String model, TaskResult... tasks) {
        List<GroupResult> groups = new ArrayList<>();
        if (List.of(tasks).stream().anyMatch(t -> t.group() != null)) {
            double mean = List.of(tasks).stream()
                    .filter(t -> t.group() != null)
                    .mapToDouble(t -> t.metrics().getFirst().value())
                    .average()
                    .orElseThrow();
            groups.add(new GroupResult("mmlu", "acc", "mean_of_tasks", mean, 0.1, 2, 8));
        }
        return new EvaluationResult(
                EvaluationResult.SCHEMA,
                "1",
                model,
                "a device",
                "leaderboard-v1",
                false,
                4,
                List.of(tasks),
                groups,
                new Throughput(1, 0, 1, 1, 1, 1, 1, 1));
    }

    /** Two models, of which {@code <q>} has a name that HTML and Markdown must not take for their own. */
    public static ModelComparison example() {
        EvaluationResult baseline = result(
                "fp16",
                yesOrNo("arc_challenge", null, 1, 0, 1, 0),
                yesOrNo("mmlu_anatomy", "mmlu", 1, 1, 0, 0),
                yesOrNo("mmlu_virology", "mmlu", 1, 0, 0, 0),
                pages(-20, -30, -40, -30));
        EvaluationResult model = result(
                "4-bit|<q>",
                yesOrNo("arc_challenge", null, 0, 1, 1, 1),
                yesOrNo("mmlu_anatomy", "mmlu", 1, 0, 0, 0),
                yesOrNo("mmlu_virology", "mmlu", 1, 0, 0, 0),
                pages(-21, -31, -41, -31));
        return ModelComparison.of(
                baseline,
                model,
                new Divergence("wikitext2", "ab", 2048, 8, 16376, 0.0123, 0.001, 0.2, 0.95, 24.5, 25.25));
    }

    private static TaskDifference find(ModelComparison comparison, String task) {
        return comparison.differences().stream()
                .filter(d -> d.task().equals(task))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void losses_and_gains_cancel_in_the_difference_and_not_in_the_flips() {
        TaskDifference arc = find(example(), "arc_challenge");
        assertThat(arc.difference()).isEqualTo(0.25);
        assertThat(arc.flips()).isEqualTo(new TaskDifference.Flips(1, 2, 0.75));
        // Changes −1, 1, 0, 1 have mean 1/4 and a sample variance of (3 − 4/16) / 3.
        assertThat(arc.stderr()).isEqualTo(Math.sqrt((3 - 0.25) / 3 / 4), within(1e-12));
    }

    @Test
    void a_quotients_error_is_that_of_its_linear_part() {
        TaskDifference wikitext = find(example(), "wikitext");
        assertThat(wikitext.baseline()).isEqualTo(Math.exp(3), within(1e-9));
        assertThat(wikitext.model()).isEqualTo(Math.exp(3.1), within(1e-9));
        // To first order a page moves the figure by exp(rate) * (its excess) / 10, the excesses being the same for both
        // models.
        double slope = (Math.exp(3.1) - Math.exp(3)) / 10;
        double variance = 200.0 / 3 / 4;
        assertThat(wikitext.stderr()).isEqualTo(slope * Math.sqrt(variance), within(1e-9));
        assertThat(wikitext.flips()).isNull();
    }

    @Test
    void a_groups_error_is_made_of_its_tasks() {
        TaskDifference mmlu = find(example(), "mmlu");
        assertThat(mmlu.average()).isEqualTo("mean_of_tasks");
        assertThat(mmlu.difference()).isEqualTo(-0.125);
        // Anatomy's changes 0, −1, 0, 0: variance (1 − 1/4) / 3; virology's are all 0.
        assertThat(mmlu.stderr()).isEqualTo(0.5 * Math.sqrt(0.25 / 4), within(1e-12));
        assertThat(mmlu.flips()).isEqualTo(new TaskDifference.Flips(1, 0, 0.125));
    }

    @Test
    void the_json_reads_back_as_it_was() throws IOException {
        Path file = Files.writeString(folder.resolve("c.json"), example().toJson());
        assertThat(ModelComparison.read(file)).isEqualTo(example());
        Files.writeString(file, "{\"schema\": \"other\"}");
        assertThatThrownBy(() -> ModelComparison.read(file))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("c.json")
                .hasMessageContaining("nibble-eval-comparison-1");
    }

    @Test
    void results_of_other_requests_are_not_compared() {
        EvaluationResult four = result("a", yesOrNo("arc_challenge", null, 1, 0, 1, 0));
        EvaluationResult three = result("b", yesOrNo("arc_challenge", null, 1, 0, 1));
        assertThatThrownBy(() -> ModelComparison.of(three, four, null))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("arc_challenge")
                .hasMessageContaining("number of documents is 3 for the baseline and 4");
        assertThatThrownBy(() -> ModelComparison.of(result("c", yesOrNo("piqa", null, 1)), four, null))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("no result of arc_challenge");
        TaskResult task = four.tasks().getFirst();
        TaskResult other = new TaskResult(task.task(), null, recipe("beef"), task.metrics(), 0, task.documents());
        assertThatThrownBy(() -> ModelComparison.of(result("d", other), four, null))
                .hasMessageContaining("SHA-256 of the data is beef");
    }
}
