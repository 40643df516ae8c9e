package nibble.eval.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import nibble.eval.comparison.Divergence;
import nibble.eval.tasks.TaskResult;

/** Writes a report as Markdown for a model card. */
public final class MarkdownReport {
    private MarkdownReport() {}

    /** Returns the text, with a final newline. */
    public static String render(Report report) {
        StringBuilder text = new StringBuilder();
        boolean compared = report.comparison().isPresent();
        text.append("| Task | Metric | Examples | Documents |")
                .append(
                        compared
                                ? " "
                                        + cell(report.comparison()
                                                .get()
                                                .baseline()
                                                .model()) + " |"
                                : "")
                .append(' ')
                .append(cell(report.model().model()))
                .append(" |")
                .append(compared ? " Difference | Answers flipped |\n" : "\n")
                .append("|---|---|---:|---:|")
                .append(compared ? "---:|---:|---:|---:|\n" : "---:|\n");
        for (Row row : Row.of(report)) {
            text.append("| ")
                    .append(row.task())
                    .append(" | ")
                    .append(row.metric())
                    .append(" | ")
                    .append(row.fewshot())
                    .append(" | ")
                    .append(row.documents())
                    .append(" | ");
            if (compared) {
                text.append(row.value(true)).append(" | ");
            }
            text.append(row.value(false)).append(" |");
            if (compared) {
                text.append(' ')
                        .append(row.shownDifference())
                        .append(" | ")
                        .append(row.flips())
                        .append(" |");
            }
            text.append('\n');
        }
        text.append('\n');
        notes(report).forEach(line -> text.append(line).append('\n'));
        return text.toString();
    }

    /** What must be known to read the figures; each a sentence or more. */
    static List<String> notes(Report report) {
        List<String> notes = new ArrayList<>();
        notes.add("Preset " + report.model().preset() + " of lm-evaluation-harness"
                + (report.model().bos() ? ", a BOS before every request" : "")
                + "; measured by Nibble " + report.model().nibbleVersion() + " on "
                + report.model().device()
                + ". Fractions in percent, ± one standard error"
                + (report.comparison().isPresent() ? "; the differences' errors are paired by document." : "."));
        Map<String, Set<String>> deviations = new TreeMap<>();
        for (TaskResult task : report.model().tasks()) {
            if (!task.recipe().deviations().isEmpty()) {
                deviations
                        .computeIfAbsent(String.join("; ", task.recipe().deviations()), _ -> new TreeSet<>())
                        .add(task.group() == null ? task.task() : task.group());
            }
        }
        if (!deviations.isEmpty()) {
            List<String> each = new ArrayList<>();
            deviations.forEach((what, tasks) -> each.add(String.join(", ", tasks) + ": " + what));
            notes.add("Not as the preset has it: " + String.join(". ", each) + ".");
        }
        report.comparison().map(c -> c.divergence()).ifPresent(d -> notes.add(divergence(d)));
        for (PerplexityFigure figure : report.perplexities()) {
            notes.add(String.format(
                    Locale.ROOT, "Perplexity of %s: %.4f (%s).", figure.label(), figure.perplexity(), figure.text()));
        }
        return notes;
    }

    static String divergence(Divergence d) {
        Double error = d.meanKlStderr();
        return String.format(
                Locale.ROOT,
                "Next-token distributions on %s (%d windows of %d tokens): mean KL divergence %.5f%s nats, 99th"
                    + " percentile %.4f; the same likeliest token in %.2f %%; perplexity %.4f against the baseline's"
                    + " %.4f.",
                d.dataset(),
                d.windows(),
                d.contextTokens(),
                d.meanKl(),
                error == null ? "" : String.format(Locale.ROOT, " ± %.5f", error),
                d.kl99thPercentile(),
                100 * d.sameLikeliest(),
                d.perplexity(),
                d.baselinePerplexity());
    }

    private static String cell(String text) {
        return text.replace("|", "\\|").replaceAll("\\R", " ");
    }
}
