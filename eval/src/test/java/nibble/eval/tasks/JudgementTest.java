package nibble.eval.tasks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import nibble.datasets.evaluation.EvaluationDocument.LastWord;
import nibble.datasets.evaluation.EvaluationDocument.MathProblem;
import nibble.datasets.evaluation.EvaluationDocument.MultipleChoice;
import nibble.datasets.evaluation.EvaluationDocument.Page;
import nibble.datasets.evaluation.EvaluationDocument.TruthfulQuestion;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JudgementTest {
    @Test
    void acc_norm_divides_by_code_points_and_the_first_of_equals_wins() {
        // "👍👍" has two code points, four UTF-16 units, eight bytes.
        MultipleChoice document = new MultipleChoice("", "q", List.of("abc", "👍👍", "abc"), 0);
        DocumentResult found = judged(Task.ARC_EASY, document, -6, -4, -6);
        assertThat(found.pick()).isEqualTo(1);
        // -6/3, -4/2, -6/3: all -2.
        assertThat(found.metrics()).isEqualTo(Map.of("acc", 0.0, "acc_norm", 1.0));
    }

    @Test
    void mc2_is_the_share_of_the_true_answers_and_the_leaderboard_takes_those_before_the_first_false_one() {
        TruthfulQuestion document =
                new TruthfulQuestion("q", List.of("a", "b"), List.of("a", "b", "c"), List.of(true, false, true));
        double[] sums = {-1, -2, Math.log(0.1), Math.log(0.2), Math.log(0.5)};
        assertThat(judged(Preset.LEADERBOARD_V1, Task.TRUTHFULQA, document, sums)
                        .metrics())
                .containsEntry("mc1", 1.0)
                .hasEntrySatisfying("mc2", value -> assertThat(value).isCloseTo(0.125, within(1e-12)));
        assertThat(judged(Preset.LM_EVAL_0_4_9_1, Task.TRUTHFULQA, document, sums)
                        .metrics())
                .hasEntrySatisfying("mc2", value -> assertThat(value).isCloseTo(0.75, within(1e-12)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "So it is\\n#### 1,234 |1|1|1",
                "#### 1234.|0|1|1",
                "it costs $1,234 in all|0|0|1",
                "1234 then 17|0|0|0",
                "#### 99 #### 1234|0|0|1",
                "nothing|0|0|0",
            })
    void answers_of_gsm8k_are_found_as_each_preset_does(
            String text, double leaderboard, double strict, double flexible) {
        MathProblem problem = new MathProblem("q", "12 * 100 + 34 = <<1234>>1234\n#### 1,234");
        String written = text.replace("\\n", "\n");
        assertThat(new Judgement(Task.GSM8K, Preset.LEADERBOARD_V1)
                        .of(0, problem, written)
                        .metrics())
                .isEqualTo(Map.of("acc", leaderboard));
        assertThat(new Judgement(Task.GSM8K, Preset.LM_EVAL_0_4_9_1)
                        .of(0, problem, written)
                        .metrics())
                .isEqualTo(Map.of("exact_match_strict", strict, "exact_match_flexible", flexible));
    }

    @Test
    void lambada_counts_greedy_words_and_its_error_follows_the_mean() {
        List<DocumentResult> documents = List.of(
                new Judgement(Task.LAMBADA, Preset.LEADERBOARD_V1)
                        .of(0, new LastWord("a", "b"), List.of(new RequestResult(1, 1, 0, -1, true))),
                new Judgement(Task.LAMBADA, Preset.LEADERBOARD_V1)
                        .of(1, new LastWord("a", "b"), List.of(new RequestResult(1, 1, 0, -3, false))));
        List<MetricValue> values = Aggregates.of(Task.LAMBADA, Preset.LEADERBOARD_V1, documents);
        assertThat(values.get(0)).isEqualTo(new MetricValue("acc", 0.5, 0.5, 2, true));
        assertThat(values.get(1).value()).isCloseTo(Math.exp(2), within(1e-12));
        assertThat(values.get(1).stderr()).isCloseTo(Math.exp(2) * 1, within(1e-12));
    }

    @Test
    void wikitext_is_by_words_and_bytes_of_the_page_as_it_was() {
        DocumentResult page = new Judgement(Task.WIKITEXT, Preset.LM_EVAL_0_4_9_1)
                .of(0, new Page(" né @-@ two\n"), List.of(new RequestResult(1, 5, 0, -12, false)));
        // Split at white space: "", "né", "@-@", "two", "".
        assertThat(page.metrics()).isEqualTo(Map.of("words", 5.0, "bytes", 13.0));
        List<MetricValue> values = Aggregates.of(Task.WIKITEXT, Preset.LM_EVAL_0_4_9_1, List.of(page));
        assertThat(values.get(0).value()).isCloseTo(Math.exp(12 / 5.0), within(1e-12));
        assertThat(values.get(2).value()).isCloseTo(12 / 13.0 / Math.log(2), within(1e-12));
    }

    @Test
    void the_error_of_a_fraction_is_the_harnesss() {
        double[] values = {1, 0, 0, 1, 1, 0, 0, 0, 0, 0};
        assertThat(Aggregates.standardError(values)).isCloseTo(Math.sqrt(0.3 * 0.7 / 9), within(1e-15));
        assertThat(Aggregates.standardError(new double[] {1})).isNull();
    }

    @Test
    void both_averages_of_mmlu_are_given() {
        List<GroupResult> groups =
                Aggregates.groups(List.of(subject("mmlu_a", 0.5, 0.1, 10), subject("mmlu_b", 0.2, 0.05, 40)));
        assertThat(groups).hasSize(2);
        assertThat(groups.get(0).average()).isEqualTo("mean_of_tasks");
        assertThat(groups.get(0).value()).isCloseTo(0.35, within(1e-12));
        assertThat(groups.get(0).stderr()).isCloseTo(Math.sqrt(0.01 + 0.0025) / 2, within(1e-12));
        assertThat(groups.get(1).value()).isCloseTo((0.5 * 10 + 0.2 * 40) / 50, within(1e-12));
        assertThat(groups.get(1).stderr())
                .isCloseTo(Math.sqrt((9 * 10 * 0.01 + 39 * 40 * 0.0025) / 48 / 50), within(1e-12));
    }

    private static TaskResult subject(String name, double value, double error, int documents) {
        TaskRecipe recipe = new TaskRecipe(
                "leaderboard-v1",
                new DatasetPart("MMLU test", "bundled", "", documents, null),
                5,
                "",
                42,
                false,
                4096,
                List.of());
        return new TaskResult(
                name, "mmlu", recipe, List.of(new MetricValue("acc", value, error, documents, true)), 0, List.of());
    }

    private static DocumentResult judged(Task task, MultipleChoice document, double... sums) {
        return new Judgement(task, Preset.LEADERBOARD_V1).of(0, document, requests(sums));
    }

    private static DocumentResult judged(Preset preset, Task task, TruthfulQuestion document, double... sums) {
        return new Judgement(task, preset).of(0, document, requests(sums));
    }

    private static List<RequestResult> requests(double... sums) {
        return Arrays.stream(sums)
                .mapToObj(sum -> new RequestResult(1, 1, 0, sum, false))
                .toList();
    }
}
