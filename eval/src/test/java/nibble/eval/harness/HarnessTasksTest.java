package nibble.eval.harness;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import nibble.datasets.BadDatasetException;
import nibble.datasets.evaluation.EvaluationData;
import nibble.eval.tasks.Ask;
import nibble.eval.tasks.DocumentResult;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.MetricValue;
import nibble.eval.tasks.PreparedTask;
import nibble.eval.tasks.Preset;
import nibble.eval.tasks.RequestResult;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Tasks from files of the user's. lm-eval 0.4.13 made the same requests of these files, took the same documents under
 * each limit, and gave the same figures and errors for these log-likelihoods and answers (2026-11-26).
 */
class HarnessTasksTest {
    @TempDir
    private Path folder;

    @BeforeEach
    void files() throws IOException {
        write("rows.jsonl", """
            {"q": "one", "options": ["x", "yy"], "right": 1}
            {"q": "two", "options": ["u", "v"], "right": 0}
            {"q": "three", "options": ["k", "l"], "right": 1}
            """);
        write("base", """
            dataset_path: json
            dataset_kwargs: {data_files: rows.jsonl}
            test_split: train
            output_type: multiple_choice
            doc_to_text: "Q: {{q}}\\nA:"
            doc_to_choice: options
            doc_to_target: right
            """);
        write("own.yaml", "include: base\ntask: own\ntag: mine\nmetadata: {version: 7}\n");
        write("other.yaml", """
            include: base
            task: other
            tag: mine
            doc_to_choice: ["yes", "no"]
            fewshot_config: {sampler: first_n, samples: [{q: s, options: [a, b], right: 0}]}
            """);
        write("group.yaml", """
            group: both
            task: [mine]
            target_delimiter: "|"
            aggregate_metric_list: {metric: acc, weight_by_size: false}
            """);
    }

    private void write(String name, String text) throws IOException {
        Files.writeString(folder.resolve(name), text);
    }

    private HarnessTasks tasks(int shots, double limit, String... names) {
        EvaluationOptions options = new EvaluationOptions(
                Preset.LM_EVAL_0_4_13,
                shots < 0 ? OptionalInt.empty() : OptionalInt.of(shots),
                OptionalInt.empty(),
                false,
                false,
                true);
        HarnessOptions asked = new HarnessOptions(Optional.of(folder), new HarnessOptions.Limit(limit), 1234, Map.of());
        return new HarnessTasks(List.of(names), asked, options, EvaluationData.bundled());
    }

    private static List<Ask.Request> requests(HarnessTasks tasks, String name, int document) {
        PreparedTask.Item item = tasks.tasks()
                .get(name)
                .prepare(null, 100, false, List.of())
                .items()
                .get(document);
        return ((Ask.Choices) item.ask()).requests();
    }

    @Test
    void a_file_takes_the_keys_that_it_lacks_from_the_one_it_includes() {
        assertThat(requests(tasks(-1, 10, "own"), "own", 0))
                .containsExactly(new Ask.Request("Q: one\nA:", " x"), new Ask.Request("Q: one\nA:", " yy"));
    }

    @Test
    void a_group_gives_its_values_to_its_tasks_and_a_tag_stands_for_them() {
        HarnessTasks tasks = tasks(-1, 10, "both");

        assertThat(tasks.groups().get("both").tasks()).containsExactly("other", "own");
        assertThat(requests(tasks, "own", 1).getFirst().continuation()).isEqualTo("|u");
    }

    @Test
    void choices_that_YAML_1_1_takes_for_truth_values_need_quotes() throws Exception {
        write("bare.yaml", "include: base\ntask: bare\ndoc_to_choice: [yes, no]\n");
        HarnessTasks tasks = tasks(-1, 10, "bare");

        assertThatThrownBy(() -> requests(tasks, "bare", 0))
                .isInstanceOf(BadDatasetException.class)
                .hasMessage("bare: doc_to_choice: true is no text; put it in quotes in the file");
    }

    @Test
    void examples_may_stand_in_the_file() {
        assertThat(requests(tasks(1, 10, "other"), "other", 0).getFirst().context())
                .isEqualTo("Q: s\nA: yes\n\nQ: one\nA:");
    }

    @Test
    void more_examples_than_there_are_is_an_error() {
        HarnessTasks tasks = tasks(2, 10, "other");
        assertThatThrownBy(() -> requests(tasks, "other", 0))
                .isInstanceOf(BadDatasetException.class)
                .hasMessage("other: 2 examples to draw, only 1 are there; give a smaller --num-fewshot");
        assertThatThrownBy(() -> tasks(1, 10, "truthfulqa_mc1"))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageStartingWith("--num-fewshot 1: truthfulqa_mc1 takes no examples");
    }

    @ParameterizedTest
    @CsvSource({"0.3, 1", "0.34, 2", "0.99, 3", "2, 2", "1000, 3"})
    void a_limit_below_1_is_a_share_rounded_up(double limit, int documents) {
        assertThat(tasks(-1, limit, "own").tasks().get("own").documents()).hasSize(documents);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "process_docs: !function utils.shape|bad.yaml, line 3: !function utils.shape is Python",
                "process_results: !function utils.judge|bad.yaml, line 3: !function utils.judge is Python",
                "doc_to_txt: q|bad.yaml: the key doc_to_txt is unknown",
                "metric_list: [{metric: rouge}]|bad.yaml: metric rouge is not supported",
                "output_type: guess|bad.yaml: output_type is guess, expected multiple_choice",
                "doc_to_text: '{{q'|bad.yaml: doc_to_text: ",
            })
    void what_a_file_cannot_ask_for_is_refused_with_its_place(String line, String message) throws Exception {
        write("bad.yaml", "include: base\ntask: bad\n" + line + "\n");

        assertThatThrownBy(() -> {
                    HarnessTasks tasks = tasks(-1, 10, "bad");
                    FileTask task = tasks.tasks().get("bad");
                    PreparedTask prepared = task.prepare(null, 100, false, List.of());
                    task.rules().judged(prepared.items().getFirst(), sums(-1, -2));
                })
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining(message);
    }

    @Test
    void an_unknown_name_is_told_with_the_nearest() {
        assertThatThrownBy(() -> tasks(-1, 10, "ownn"))
                .isInstanceOf(UnknownTaskException.class)
                .hasMessageStartingWith("ownn: no such task; the nearest are own");
    }

    private static List<RequestResult> sums(double... sums) {
        return java.util.Arrays.stream(sums)
                .mapToObj(sum -> new RequestResult(3, 1, 0, sum, false))
                .toList();
    }

    @Test
    void acc_norm_divides_by_characters_and_figures_come_with_errors() {
        FileTask task = tasks(-1, 10, "own").tasks().get("own");
        List<PreparedTask.Item> items =
                task.prepare(null, 100, false, List.of()).items();
        List<DocumentResult> results = List.of(
                task.rules().judged(items.get(0), sums(-2, -3)),
                task.rules().judged(items.get(1), sums(-1, -2)),
                task.rules().judged(items.get(2), sums(-1, -2)));

        assertThat(results.getFirst().metrics()).containsEntry("acc", 0.0).containsEntry("acc_norm", 1.0);
        assertThat(task.rules().figures(results))
                .containsExactly(
                        new MetricValue("acc", 1 / 3.0, 0.33333333333333337, 3, true),
                        new MetricValue("acc_norm", 2 / 3.0, 0.33333333333333337, 3, true));
    }

    @Test
    void a_written_answer_is_filtered_before_it_is_compared() throws Exception {
        write("sum.yaml", """
            include: base
            task: sum
            output_type: generate_until
            doc_to_choice: null
            doc_to_target: "{{right}}"
            filter_list:
              - name: last
                filter:
                  - {function: regex, regex_pattern: '(\\d+)', group_select: -1}
                  - {function: take_first}
            """);
        FileTask task = tasks(-1, 1, "sum").tasks().get("sum");
        PreparedTask.Item item =
                task.prepare(null, 100, false, List.of("</s>")).items().getFirst();

        assertThat(item.ask()).isEqualTo(new Ask.Writing("Q: one\nA:", 256, List.of("\n\n", "</s>")));
        assertThat(task.rules().judged(item, "3 and then 1.").metrics()).containsEntry("exact_match,last", 1.0);
        assertThat(task.rules().judged(item, "none").metrics()).containsEntry("exact_match,last", 0.0);
    }
}
