package nibble.eval.report;

import java.util.List;
import java.util.Map;
import nibble.eval.tasks.TaskResult;
import org.jspecify.annotations.Nullable;

/** Writes a report as one HTML page: plots are inline SVG, styles are inline, nothing is loaded and nothing runs. */
public final class HtmlReport {
    private static final String STYLE = """
        body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #ffffff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.5rem; overflow-wrap: break-word; } h2 { font-size: 1.15rem; margin-top: 2rem; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
        th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #cccccc; text-align: right; }
        th { border-bottom: 2px solid #444444; } th.text, td.text, td.name, td.hash { text-align: left; }
        td.name { white-space: nowrap; } td.hash { overflow-wrap: anywhere; min-width: 12rem; }
        svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #1a1a1a; }
        .table { overflow-x: auto; } figure { margin: 0; break-inside: avoid; } figcaption { color: #444444; }
        @media print { body { margin: 0; max-width: none; font-size: 10pt; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
        """;

    private HtmlReport() {}

    /** Returns the page. */
    public static String render(Report report) {
        String model = report.model().model();
        @Nullable
        String baseline = report.comparison().map(c -> c.baseline().model()).orElse(null);
        List<Row> rows = Row.of(report);
        StringBuilder html = new StringBuilder();
        String title = baseline == null ? "Evaluation of " + model : model + " against " + baseline;
        html.append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
                .append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>")
                .append(Html.escape(title))
                .append("</title>\n<style>\n")
                .append(STYLE)
                .append("</style>\n</head>\n<body>\n<h1>")
                .append(Html.escape(title))
                .append("</h1>\n");
        MarkdownReport.notes(report)
                .forEach(note -> html.append("<p>").append(Html.escape(note)).append("</p>\n"));
        section(html, "Figures", table(rows, baseline, model));
        if (rows.stream().anyMatch(Row::fraction)) {
            figure(
                    html,
                    "Tasks",
                    Charts.tasks(rows, baseline, model),
                    "In percent; error bars are one standard error to either side.");
        }
        if (rows.stream().anyMatch(r -> r.fraction() && r.difference() != null)) {
            figure(
                    html,
                    "Differences",
                    Charts.differences(rows),
                    "The model's figure less the baseline's, in percentage points; error bars are 95 % intervals,"
                            + " paired by document.");
        }
        report.layers()
                .ifPresent(layers -> figure(
                        html,
                        "Error by layer",
                        Charts.layers(layers),
                        "Relative squared error of the linears' outputs on the calibration text, mean over the"
                                + " layer's linears."));
        report.layers().ifPresent(layers -> section(html, "Error by linear", LinearTable.html(layers)));
        List<PerplexityFigure> perplexities = Charts.figures(report);
        if (!perplexities.isEmpty()) {
            figure(
                    html,
                    "Perplexity",
                    Charts.perplexities(perplexities),
                    "Lower is better. Only figures of one text can be compared.");
        }
        section(html, "Recipes", recipes(report));
        return html.append("</body>\n</html>\n").toString();
    }

    private static void section(StringBuilder html, String heading, String content) {
        html.append("<h2>")
                .append(heading)
                .append("</h2>\n<div class=\"table\">\n")
                .append(content)
                .append("</div>\n");
    }

    private static void figure(StringBuilder html, String heading, Svg svg, String caption) {
        html.append("<h2>")
                .append(heading)
                .append("</h2>\n<figure>\n")
                .append(svg)
                .append("<figcaption>")
                .append(Html.escape(caption))
                .append("</figcaption>\n</figure>\n");
    }

    private static String table(List<Row> rows, @Nullable String baseline, String model) {
        StringBuilder html = new StringBuilder("<table>\n<thead><tr>");
        head(html, "text", "Task", "Metric");
        head(html, "", "Examples", "Documents");
        if (baseline != null) {
            head(html, "", baseline);
        }
        head(html, "", model);
        if (baseline != null) {
            head(html, "", "Difference", "Answers flipped");
        }
        html.append("</tr></thead>\n<tbody>\n");
        for (Row row : rows) {
            html.append("<tr>");
            cells(html, "name", row.task());
            cells(html, "text", row.metric());
            cells(html, "", Integer.toString(row.fewshot()), Integer.toString(row.documents()));
            if (baseline != null) {
                cells(html, "", row.value(true));
            }
            cells(html, "", row.value(false));
            if (baseline != null) {
                cells(html, "", row.shownDifference(), row.flips());
            }
            html.append("</tr>\n");
        }
        return html.append("</tbody>\n</table>\n").toString();
    }

    private static String recipes(Report report) {
        Map<String, TaskResult> firstOfEach = new java.util.LinkedHashMap<>();
        report.model().tasks().forEach(t -> firstOfEach.putIfAbsent(t.group() == null ? t.task() : t.group(), t));
        StringBuilder html = new StringBuilder("<table>\n<thead><tr>");
        head(html, "text", "Task", "Documents", "SHA-256 of the data", "Examples from", "Seed");
        html.append("</tr></thead>\n<tbody>\n");
        firstOfEach.forEach((name, task) -> {
            html.append("<tr>");
            cells(html, "name", name);
            cells(
                    html,
                    "text",
                    task.recipe().dataset().name() + ", "
                            + task.recipe().dataset().source());
            cells(html, "hash", task.recipe().dataset().sha256());
            cells(
                    html,
                    "text",
                    task.recipe().fewshotSource(),
                    Integer.toString(task.recipe().fewshotSeed()));
            html.append("</tr>\n");
        });
        return html.append("</tbody>\n</table>\n").toString();
    }

    static void head(StringBuilder html, String style, String... titles) {
        for (String title : titles) {
            html.append("<th")
                    .append(styled(style))
                    .append(" scope=\"col\">")
                    .append(words(title))
                    .append("</th>");
        }
    }

    static void cells(StringBuilder html, String style, String... values) {
        for (String value : values) {
            html.append("<td")
                    .append(styled(style))
                    .append('>')
                    .append(words(value))
                    .append("</td>");
        }
    }

    private static String styled(String style) {
        return style.isEmpty() ? "" : " class=\"" + style + "\"";
    }

    /** Escaped; a path or a model's name may break after its slashes, a word nowhere. */
    private static String words(String text) {
        return Html.escape(text).replace("/", "/<wbr/>");
    }
}
