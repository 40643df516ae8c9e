package nibble.cli.terminal;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizationReport.Linear;
import org.jspecify.annotations.Nullable;

/** Shows what a person wants to know of a quantization at its end: where the error is, where the time went. */
public final class QuantizationSummary {
    private static final int WORST = 5;

    private QuantizationSummary() {}

    /** Returns all that there is to say. */
    public static List<String> lines(QuantizationReport report) {
        List<String> lines = new ArrayList<>();
        if (report.meanRelativeError() != null) {
            lines.addAll(errors(report));
            lines.add("");
        }
        experts(report).ifPresent(line -> lines.addAll(List.of(line, "")));
        QuantizationReport.@Nullable Tuning tuning = report.tuning();
        if (tuning != null) {
            lines.add(String.format(
                    Locale.ROOT,
                    "divergence from the original on held-out calibration text: %.5f as fitted, %.5f after %d steps",
                    tuning.divergenceBefore(),
                    tuning.divergenceAfter(),
                    tuning.steps()));
            lines.add("");
        }
        QuantizationReport.@Nullable Times times = report.times();
        if (times != null) {
            lines.addAll(times(report, times));
            lines.add("");
        }
        return lines;
    }

    /** How many experts saw enough of the text, and what those have that did not. */
    private static Optional<String> experts(QuantizationReport report) {
        List<QuantizationReport.Experts> layers = report.layers().stream()
                .map(QuantizationReport.Layer::experts)
                .filter(Objects::nonNull)
                .toList();
        if (layers.isEmpty()) {
            return Optional.empty();
        }
        long all = 0;
        long few = 0;
        long fewest = Long.MAX_VALUE;
        for (QuantizationReport.Experts experts : layers) {
            all += experts.routedTokens().size();
            for (long tokens : experts.routedTokens()) {
                fewest = Math.min(fewest, tokens);
                few += tokens < experts.tokensNeeded() ? 1 : 0;
            }
        }
        QuantizationReport.Experts first = layers.getFirst();
        return Optional.of("experts: " + few + " of " + all + " saw fewer than " + first.tokensNeeded()
                + " calibration tokens (" + first.tokensPerColumn() + " a column), the fewest " + fewest
                + "; theirs are filled up with tokens of the whole text");
    }

    private static List<String> errors(QuantizationReport report) {
        boolean fitted = report.layers().stream()
                .flatMap(layer -> layer.linears().stream())
                .anyMatch(linear -> linear.fit() != null);
        List<List<String>> rows = new ArrayList<>();
        report.layers().stream()
                .flatMap(layer -> layer.linears().stream())
                .sorted(Comparator.comparingDouble(QuantizationSummary::error).reversed())
                .limit(WORST)
                .forEach(linear -> rows.add(cells(
                        linear.name(),
                        linear.relativeError(),
                        fitted ? Optional.of(awqError(linear)) : Optional.empty(),
                        linear.rtnRelativeError())));
        rows.add(cells(
                "mean of all linears",
                report.meanRelativeError(),
                fitted ? Optional.of(meanAwqError(report)) : Optional.empty(),
                report.meanRtnRelativeError()));
        List<String> head = fitted
                ? List.of("worst linears", "output error", "AWQ's", "plain rounding's")
                : List.of("worst linears", "output error", "plain rounding's");
        return new Table(head, rows).lines();
    }

    private static List<String> cells(
            String name, @Nullable Double error, Optional<Double> awqError, @Nullable Double rounding) {
        List<String> cells = new ArrayList<>(List.of(name, percent(error)));
        awqError.ifPresent(awq -> cells.add(percent(awq)));
        cells.add(percent(rounding));
        return cells;
    }

    private static double meanAwqError(QuantizationReport report) {
        return report.layers().stream()
                .flatMap(layer -> layer.linears().stream())
                .mapToDouble(QuantizationSummary::awqError)
                .average()
                .orElse(0);
    }

    private static double awqError(Linear linear) {
        QuantizationReport.@Nullable Fit fit = linear.fit();
        return fit == null ? 0 : fit.awqRelativeError();
    }

    private static double error(Linear linear) {
        @Nullable Double error = linear.relativeError();
        return error == null ? 0 : error;
    }

    private static List<String> times(QuantizationReport report, QuantizationReport.Times times) {
        List<String> lines = new ArrayList<>(stages(times));
        lines.add("");
        lines.add(slowest(report, times));
        return lines;
    }

    /** Returns the time of each stage. */
    public static List<String> stages(QuantizationReport.Times times) {
        List<List<String>> rows = new ArrayList<>();
        Map<Stage, Double> seconds = times.stageSeconds();
        row(rows, "read", seconds, Stage.READ);
        row(rows, "forward", seconds, Stage.FORWARD);
        row(rows, "moments", seconds, Stage.MOMENTS);
        row(rows, "scale search", seconds, Stage.SCALE_SEARCH);
        row(rows, "clip search", seconds, Stage.CLIP_SEARCH);
        row(rows, "rounding", seconds, Stage.ROUNDING);
        row(rows, "save the calibration stream", seconds, Stage.SAVE_STREAM);
        row(rows, "tuning", seconds, Stage.TUNE);
        row(rows, "wait for the writer", seconds, Stage.WAIT);
        rows.add(List.of("all", Figures.duration(times.wallSeconds())));
        row(rows, "pack, in parallel", seconds, Stage.PACK);
        row(rows, "write, in parallel", seconds, Stage.WRITE);
        return new Table(List.of("stage", "time"), rows).lines();
    }

    private static void row(List<List<String>> rows, String name, Map<Stage, Double> seconds, Stage stage) {
        double value = seconds.getOrDefault(stage, 0.0);
        if (value > 0) {
            rows.add(List.of(name, Figures.duration(value)));
        }
    }

    private static String slowest(QuantizationReport report, QuantizationReport.Times times) {
        int slowest = -1;
        double most = 0;
        double sum = 0;
        for (int layer = 0; layer < times.layerSeconds().size(); layer++) {
            @Nullable Double seconds = times.layerSeconds().get(layer);
            if (seconds != null) {
                sum += seconds;
                if (seconds > most) {
                    most = seconds;
                    slowest = layer;
                }
            }
        }
        int made = report.layers().size() - times.resumedLayers();
        String resumed =
                times.resumedLayers() == 0 ? "" : ", " + times.resumedLayers() + " taken over from the earlier run";
        return slowest < 0
                ? "all layers were taken over from the earlier run"
                : String.format(
                        Locale.ROOT,
                        "%d layers, %s each, the slowest %s (layer %d)%s",
                        made,
                        Figures.duration(sum / made),
                        Figures.duration(most),
                        slowest,
                        resumed);
    }

    private static String percent(@Nullable Double share) {
        return share == null ? "" : Figures.decimals(100 * share, 3) + " %";
    }
}
