package nibble.eval.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import javax.xml.parsers.DocumentBuilderFactory;
import nibble.datasets.BadDatasetException;
import nibble.eval.comparison.ModelComparison;
import nibble.eval.comparison.ModelComparisonTest;
import nibble.eval.tasks.EvaluationJson;
import nibble.eval.tasks.GroupResult;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.xml.sax.InputSource;

/** A report says what was measured, in forms that stand by themselves. */
class ReportTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private Path file(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content);
    }

    private Report report() throws IOException {
        Path errors = file("quantization_report.json", """
            {"method": "awq", "layers": [
              {"layer": 0, "linears": [{"name": "q", "relative_error": 0.01, "rtn_relative_error": 0.02},
                                       {"name": "k", "relative_error": 0.03, "rtn_relative_error": 0.04}]},
              {"layer": 1, "linears": [{"name": "q", "relative_error": 0.05, "rtn_relative_error": 0.08,
                 "fit": {"awq_relative_error": 0.06, "propagated_share": 0.75, "sweeps": 3.5,
                         "held_out_error": 0.0712, "held_out_awq_error": 0.0934, "taken_back": false}}]}]}
            """);
        Path perplexity = file(
                "awq.json",
                "{\"perplexity\": 25.125, \"recipe\": \"gptq\", \"context_tokens\": 2048, \"windows\": 197,"
                        + " \"dataset\": \"wikitext2\"}");
        return Report.read(
                file("comparison.json", ModelComparisonTest.example().toJson()),
                Optional.empty(),
                List.of(perplexity),
                Optional.of(errors));
    }

    @Test
    void markdown_has_both_models_the_difference_and_its_paired_error() throws IOException {
        assertThat(MarkdownReport.render(report()))
                .contains(
                        "| Task | Metric | Examples | Documents | fp16 | 4-bit\\|<q> | Difference | Answers flipped |")
                .contains("| arc_challenge | acc | 5 | 4 | 50.00 ± 10.00 | 75.00 ± 10.00 | +25.00 ± 47.87 | 75.00 % |")
                .contains("| mmlu | acc, mean of 2 subjects | 5 | 8 | 37.50 ± 10.00 | 25.00 ± 10.00 | −12.50 ± 12.50 |"
                        + " 12.50 % |")
                .contains("| wikitext | word_perplexity | 5 | 4 | 20.0855 | 22.1980 |")
                .contains("mean KL divergence 0.01230 ± 0.00100 nats", "the same likeliest token in 95.00 %")
                .contains(
                        "Perplexity of awq: 25.1250 (wikitext2, gptq, 197 windows of 2048).",
                        "arc_challenge, mmlu, wikitext: at most 4 documents.")
                .doesNotContain("mmlu_anatomy |", "null", "NaN");
    }

    @Test
    void without_a_baseline_no_column_speaks_of_one() throws IOException {
        Path result =
                file("r.json", EvaluationJson.text(ModelComparisonTest.example().baseline()));
        Report report = Report.read(result, Optional.empty(), List.of(), Optional.empty());
        assertThat(MarkdownReport.render(report))
                .contains("| arc_challenge | acc | 5 | 4 | 50.00 ± 10.00 |\n")
                .doesNotContain("Difference", "flipped", "KL");
        assertThat(HtmlReport.render(report)).doesNotContain("Difference", "Error by layer", "Perplexity</h2>");
    }

    @Test
    void two_results_are_compared_as_they_are_read() throws IOException {
        ModelComparison example = ModelComparisonTest.example();
        Path baseline = file("b.json", EvaluationJson.text(example.baseline()));
        Path result = file("r.json", EvaluationJson.text(example.model()));
        assertThat(Report.read(result, Optional.of(baseline), List.of(), Optional.empty())
                        .comparison()
                        .orElseThrow()
                        .differences())
                .isEqualTo(example.differences());
    }

    @Test
    void a_normalized_score_has_a_difference_but_neither_error_nor_flips() throws IOException {
        ModelComparison example = ModelComparisonTest.example();
        Path baseline = file("b.json", EvaluationJson.text(example.baseline().with(List.of(score(0.5)))));
        Path result = file("r.json", EvaluationJson.text(example.model().with(List.of(score(0.25)))));

        Report report = Report.read(result, Optional.of(baseline), List.of(), Optional.empty());

        assertThat(MarkdownReport.render(report))
                .contains("| leaderboard | average, normalized | 5 | 8 | 50.00 | 25.00 | −25.00 |  |");
        assertThat(HtmlReport.render(report))
                .contains("average, normalized", "−25.00")
                .doesNotContain("NaN");
    }

    private static GroupResult score(double value) {
        return new GroupResult(
                "leaderboard",
                "average",
                GroupResult.NORMALIZED,
                value,
                null,
                2,
                8,
                List.of("mmlu_anatomy", "mmlu_virology"));
    }

    @Test
    void the_page_is_well_formed_has_every_plot_and_loads_nothing() throws Exception {
        String html = HtmlReport.render(report());
        assertThat(html)
                .contains(
                        "4-bit|&lt;q&gt; against fp16",
                        "<h2>Tasks</h2>",
                        "<h2>Differences</h2>",
                        "<h2>Error by layer</h2>",
                        "<h2>Perplexity</h2>")
                .contains("+25.00 ± 47.87", "awq", "25.1250", "@media print")
                .contains("Held-out text", "7.120 %", "9.340 %")
                .doesNotContain("<q>", "<script", "href=", "src=", "url(http", "@import", "NaN");
        assertThat(html.replace("http://www.w3.org/2000/svg", "")).doesNotContain("http");
        // The page keeps to what XML has too, but for its first line and the two empty elements of its head.
        String xml = html.replace("<!DOCTYPE html>", "").replaceAll("<meta[^>]*>", "");
        assertThat(DocumentBuilderFactory.newInstance()
                        .newDocumentBuilder()
                        .parse(new InputSource(new StringReader(xml)))
                        .getElementsByTagName("svg")
                        .getLength())
                .isEqualTo(4);
    }

    @Test
    void names_of_tasks_and_models_break_nowhere_but_after_a_slash() throws IOException {
        String html = HtmlReport.render(report());
        assertThat(html).contains("<td class=\"name\">", "td.name { white-space: nowrap; }");
        // Only a hash may be cut anywhere.
        assertThat(html.lines().filter(line -> line.contains("overflow-wrap: anywhere")))
                .singleElement()
                .asString()
                .contains("td.hash { overflow-wrap: anywhere");
        assertThat(html).doesNotContain("word-break").contains("<td class=\"hash\">");
    }

    @Test
    void a_layers_error_is_the_mean_of_its_linears() throws IOException {
        LayerErrors errors = report().layers().orElseThrow();
        assertThat(errors.method()).isEqualTo("awq");
        assertThat(errors.quantized()).containsExactly(0.02, 0.05);
        assertThat(errors.rounding()).containsExactly(0.03, 0.08);
    }

    @Test
    void a_table_has_the_errors_of_each_linear_and_what_a_fit_says_of_it() throws IOException {
        assertThat(HtmlReport.render(report()))
                .contains("<summary>3 linears", "<td class=\"name\">k</td><td>3.000 %</td>")
                .contains("<td class=\"name\">q</td><td>5.000 %</td><td>6.000 %</td><td>8.000 %</td><td>0.75</td>"
                        + "<td>3.50</td>");
    }

    @Test
    void files_of_another_kind_are_named() throws IOException {
        Path other = file("other.json", "{\"schema\": 1}");
        Path broken = file("broken.json", "{");
        Path comparison = file("comparison.json", ModelComparisonTest.example().toJson());
        for (Path file : List.of(other, broken, folder.resolve("none.json"))) {
            assertThatThrownBy(() -> Report.read(file, Optional.empty(), List.of(), Optional.empty()))
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining(file.getFileName().toString());
            assertThatThrownBy(() -> Report.read(comparison, Optional.empty(), List.of(file), Optional.empty()))
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining(file.getFileName().toString());
            assertThatThrownBy(() -> Report.read(comparison, Optional.empty(), List.of(), Optional.of(file)))
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining(file.getFileName().toString());
        }
        assertThatThrownBy(() -> Report.read(comparison, Optional.of(comparison), List.of(), Optional.empty()))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("has a baseline in it");
    }
}
