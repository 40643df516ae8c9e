package nibble.cli.terminal;

import java.util.ArrayList;
import java.util.List;
import nibble.eval.comparison.Divergence;
import nibble.eval.comparison.ModelComparison;
import nibble.eval.comparison.TaskDifference;
import nibble.eval.tasks.GroupResult;
import org.jspecify.annotations.Nullable;

/** Shows two models' figures side by side, fractions in percent; subjects of mmlu as their averages alone. */
public record ComparisonTable(ModelComparison comparison) {

    public void print(Terminal terminal) {
        terminal.out()
                .println(comparison.model().model() + " against "
                        + comparison.baseline().model() + ", "
                        + comparison.model().preset());
        List<List<String>> rows = new ArrayList<>();
        for (TaskDifference d : comparison.differences()) {
            if (d.group() == null) {
                rows.add(row(d));
            }
        }
        new Table(List.of("task", "metric", "baseline", "model", "difference", "±", "flipped", "documents"), rows)
                .lines()
                .forEach(terminal.out()::println);
        terminal.out()
                .println("±: standard error of the difference, paired by document; flipped: answers that became right"
                        + " or wrong");
        @Nullable Divergence d = comparison.divergence();
        if (d != null) {
            terminal.out()
                    .println("next-token distributions on " + d.dataset() + ", " + d.windows() + " windows of "
                            + d.contextTokens()
                            + ": mean KL divergence " + Figures.decimals(d.meanKl(), 5)
                            + (d.meanKlStderr() == null ? "" : " ± " + Figures.decimals(d.meanKlStderr(), 5))
                            + " nats, the same likeliest token in "
                            + Figures.decimals(100 * d.sameLikeliest(), 2) + " %, perplexity "
                            + Figures.decimals(d.baselinePerplexity(), 4)
                            + " and " + Figures.decimals(d.perplexity(), 4));
        }
        terminal.out().flush();
    }

    private static List<String> row(TaskDifference d) {
        boolean fraction = !d.metric().contains("perplexity") && !d.metric().equals("bits_per_byte");
        double unit = fraction ? 100 : 1;
        int places = fraction ? 2 : 4;
        String average = switch (d.average()) {
            case null -> "";
            case GroupResult.MEAN_OF_TASKS -> ", mean of subjects";
            case GroupResult.NORMALIZED -> ", normalized";
            default -> ", by documents";
        };
        String difference = Figures.decimals(d.difference() * unit, places);
        return List.of(
                d.task(),
                d.metric() + average,
                Figures.decimals(d.baseline() * unit, places),
                Figures.decimals(d.model() * unit, places),
                (d.difference() >= 0 ? "+" : "") + difference,
                d.stderr() == null ? "" : Figures.decimals(d.stderr() * unit, places),
                d.flips() == null ? "" : Figures.decimals(100 * d.flips().rate(), 2) + " %",
                Integer.toString(d.documents()));
    }
}
