package nibble.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import nibble.checkpoint.Checkpoint;
import nibble.cluster.eval.ClusterModel;
import nibble.cluster.spark.Cluster;
import nibble.cluster.spark.ClusterException;
import nibble.cluster.spark.EnginePlace;
import nibble.convert.BundledModel;
import nibble.datasets.TextDataset;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.datasets.evaluation.EvaluationData;
import nibble.engine.Backends;
import nibble.engine.LanguageModel;
import nibble.engine.Llama;
import nibble.engine.backend.Backend;
import nibble.eval.Perplexity;
import nibble.eval.PerplexityResult;
import nibble.eval.tasks.EvaluatedModel;
import nibble.eval.tasks.EvaluationJson;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.Preset;
import nibble.eval.tasks.ResultJournal;
import nibble.eval.tasks.Task;
import nibble.eval.tasks.TaskEvaluation;
import nibble.eval.tasks.TaskProgress;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Executors give what one machine gives, to the last bit, and one of them may be killed meanwhile. */
@ExtendWith(LocalExecutors.class)
class ClusterEvaluationTest {
    private static final String MODEL = BundledModel.FOLDER.toString();
    private static final int CONTEXT = 128;
    private static final int WINDOWS = 16;
    private static final Map<String, String> JOB = Map.of("job", "test");

    private final Cluster cluster = LocalExecutors.cluster();

    @TempDir
    Path temp;

    private interface Measured<R> {
        R by(LanguageModel model, Tokenizer tokenizer, String device);
    }

    /** On this machine, without Spark. */
    private static <R> R here(Measured<R> measured) {
        try (Backend backend = Backends.open("cpu", 1);
                Checkpoint checkpoint = Checkpoint.open(BundledModel.FOLDER);
                Tokenizer tokenizer = Tokenizers.ofModel(BundledModel.FOLDER);
                Llama llama = Llama.load(checkpoint, backend)) {
            return measured.by(llama, tokenizer, backend.description());
        }
    }

    private static PerplexityResult perplexity(LanguageModel model, Tokenizer tokenizer) {
        return Perplexity.gptq(
                model, tokenizer, TextDataset.wikitext2Test(), CONTEXT, OptionalInt.of(WINDOWS), (_, _, _) -> {});
    }

    @Test
    void perplexity_has_the_same_bits_though_an_executor_is_killed_in_the_middle() {
        PerplexityResult alone = here((model, tokenizer, _) -> perplexity(model, tokenizer));
        AtomicBoolean killed = new AtomicBoolean();

        PerplexityResult spread;
        try (Tokenizer tokenizer = Tokenizers.ofModel(BundledModel.FOLDER);
                ClusterModel model = ClusterModel.open(cluster, new EnginePlace(MODEL, "cpu"), CONTEXT, done -> {
                    if (done < 1 && killed.compareAndSet(false, true)) {
                        LocalExecutors.killOne();
                    }
                })) {
            spread = perplexity(model, tokenizer);
        }

        assertThat(killed).isTrue();
        assertThat(spread.perplexity()).isEqualTo(alone.perplexity());
        assertThat(json(spread, "wall_seconds")).isEqualTo(json(alone, "wall_seconds"));
    }

    private static JsonNode json(Object result, String... times) {
        ObjectNode tree = new ObjectMapper().valueToTree(result);
        tree.remove(List.of(times));
        return tree;
    }

    /** Questions with answers to score, and problems that the model writes on. */
    private static String tasks(
            LanguageModel model, Tokenizer tokenizer, String device, ResultJournal journal, TaskProgress progress) {
        EvaluationOptions options =
                new EvaluationOptions(Preset.LM_EVAL_0_4_9_1, OptionalInt.of(0), OptionalInt.of(2), false, true, true);
        EvaluatedModel subject = new EvaluatedModel("wiki-7m", device, model, tokenizer, 1, 2, Set.of(2));
        return EvaluationJson.text(TaskEvaluation.run(
                subject,
                List.of(Task.ARC_EASY, Task.TRUTHFULQA, Task.GSM8K),
                options,
                EvaluationData.bundled(),
                journal,
                progress));
    }

    private static JsonNode withoutTimes(String json) throws Exception {
        ObjectNode tree = (ObjectNode) new ObjectMapper().readTree(json);
        ((ObjectNode) tree.get("throughput"))
                .remove(List.of("wall_seconds", "requests_per_second", "flops_per_second"));
        return tree;
    }

    @Test
    void tasks_give_the_same_json_and_a_journal_that_one_machine_can_go_on_with() throws Exception {
        String alone = here(
                (model, tokenizer, device) -> tasks(model, tokenizer, device, ResultJournal.none(), (_, _, _) -> {}));
        Path file = temp.resolve("journal.jsonl");

        String spread;
        try (Tokenizer tokenizer = Tokenizers.ofModel(BundledModel.FOLDER);
                ResultJournal journal = ResultJournal.open(file, JOB);
                ClusterModel model = ClusterModel.open(cluster, new EnginePlace(MODEL, "cpu"), 2, _ -> {})) {
            spread = tasks(model, tokenizer, model.description(), journal, (_, _, _) -> {});
        }

        assertThat(withoutTimes(spread)).isEqualTo(withoutTimes(alone));
        assertThat(Files.readAllLines(file)).hasSize(1 + 6);
        String resumed = here((model, tokenizer, device) -> {
            try (ResultJournal journal = ResultJournal.open(file, JOB)) {
                assertThat(journal.entries()).isEqualTo(6);
                return tasks(model, tokenizer, device, journal, (_, _, _) -> {});
            }
        });
        JsonNode tasks = new ObjectMapper().readTree(resumed).get("tasks");
        assertThat(tasks).isEqualTo(new ObjectMapper().readTree(alone).get("tasks"));
    }

    @Test
    void a_model_that_no_executor_can_load_is_an_error_that_says_why_and_where() {
        Path absent = temp.resolve("absent");

        assertThatThrownBy(() -> ClusterModel.open(cluster, new EnginePlace(absent.toString(), "cpu"), 2, _ -> {}))
                .isInstanceOf(ClusterException.class)
                .hasMessageContaining(absent.toString())
                .hasMessageContaining("executor");
    }
}
