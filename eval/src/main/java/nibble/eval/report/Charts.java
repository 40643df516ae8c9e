package nibble.eval.report;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import nibble.eval.comparison.Divergence;
import nibble.eval.comparison.TaskDifference;
import org.jspecify.annotations.Nullable;

/** The plots of a report. */
final class Charts {
    private static final int WIDTH = 760;
    private static final int LEFT = 250;
    private static final int PLOT = 430;
    /** Half the width of a 95 % interval of a normal distribution, in standard errors. */
    private static final double NORMAL_95 = 1.96;

    private Charts() {}

    /**
     * Bars of the figures that are fractions, with one standard error to either side.
     *
     * @param baseline its name; null without one
     */
    static Svg tasks(List<Row> rows, @Nullable String baseline, String model) {
        List<Row> fractions = rows.stream().filter(Row::fraction).toList();
        int step = baseline == null ? 26 : 38;
        Svg svg = new Svg(WIDTH, 70 + step * fractions.size(), "Figures of each task in percent, with standard errors");
        int bottom = 36 + step * fractions.size();
        for (int percent = 0; percent <= 100; percent += 20) {
            double x = LEFT + PLOT * percent / 100.0;
            svg.line(x, 30, x, bottom, Svg.GRID, 1).text(x, bottom + 16, "middle", percent + " %");
        }
        if (baseline != null) {
            svg.legend(LEFT, 18, shortened(baseline), shortened(model));
        }
        for (int i = 0; i < fractions.size(); i++) {
            Row row = fractions.get(i);
            double y = 38 + step * i;
            svg.text(LEFT - 8, y + step / 2.0 - 4, "end", row.task() + ", " + row.metric());
            if (baseline != null) {
                bar(svg, y, row.baseline(), row.baselineStderr(), Svg.HATCHED);
                y += 14;
            }
            bar(svg, y, row.value(), row.stderr(), Svg.MODEL);
        }
        return svg.line(LEFT, 30, LEFT, bottom, Svg.LINE, 1);
    }

    private static void bar(Svg svg, double y, @Nullable Double value, @Nullable Double error, String fill) {
        if (value == null) {
            return;
        }
        double end = LEFT + PLOT * value;
        svg.bar(LEFT, y, end - LEFT, 12, fill);
        double labelled = end;
        if (error != null) {
            labelled = Math.min(LEFT + PLOT, end + PLOT * error);
            svg.error(Math.max(LEFT, end - PLOT * error), labelled, y + 6, Svg.LINE);
        }
        svg.text(labelled + 6, y + 10, "start", String.format(Locale.ROOT, "%.2f", 100 * value));
    }

    /** Differences of the fractions with their paired 95 % intervals. */
    static Svg differences(List<Row> rows) {
        List<Row> compared = rows.stream()
                .filter(r -> r.fraction() && r.difference() != null)
                .toList();
        double reach = 0.5;
        for (Row row : compared) {
            reach = Math.max(reach, 100 * (Math.abs(difference(row).difference()) + NORMAL_95 * error(row)));
        }
        double tickStep = roundStep(reach / 2);
        reach = 2 * tickStep;
        Svg svg = new Svg(
                WIDTH,
                60 + 26 * compared.size(),
                "Differences to the baseline in percentage points, with 95 % intervals");
        int bottom = 26 + 26 * compared.size();
        double zero = LEFT + PLOT / 2.0;
        for (int tick = -2; tick <= 2; tick++) {
            double x = zero + PLOT / 4.0 * tick;
            svg.line(x, 20, x, bottom, tick == 0 ? Svg.LINE : Svg.GRID, 1)
                    .text(
                            x,
                            bottom + 16,
                            "middle",
                            (tick > 0 ? "+" : tick < 0 ? "−" : "") + plain(tickStep * Math.abs(tick)));
        }
        for (int i = 0; i < compared.size(); i++) {
            Row row = compared.get(i);
            double y = 34 + 26 * i;
            double scale = PLOT / 2.0 / reach * 100;
            double x = zero + scale * difference(row).difference();
            svg.text(LEFT - 8, y + 4, "end", row.task() + ", " + row.metric());
            if (difference(row).stderr() != null) {
                svg.error(x - scale * NORMAL_95 * error(row), x + scale * NORMAL_95 * error(row), y, Svg.LINE);
            }
            svg.dot(x, y, Svg.MODEL);
        }
        return svg;
    }

    private static TaskDifference difference(Row row) {
        return java.util.Objects.requireNonNull(row.difference());
    }

    private static double error(Row row) {
        Double error = difference(row).stderr();
        return error == null ? 0 : error;
    }

    /** Each layer's mean relative error, and plain rounding's. */
    static Svg layers(LayerErrors errors) {
        int height = 260;
        int left = 70;
        int plot = WIDTH - left - 20;
        int bottom = height - 40;
        int count = errors.quantized().size();
        double most = 1e-9;
        for (int i = 0; i < count; i++) {
            most = Math.max(
                    most, Math.max(errors.quantized().get(i), errors.rounding().get(i)));
        }
        double tickStep = roundStep(100 * most / 4);
        most = 4 * tickStep / 100;
        Svg svg = new Svg(WIDTH, height, "Mean relative error of each layer's linears in percent");
        for (int tick = 0; tick <= 4; tick++) {
            double y = bottom - (bottom - 30) * tick / 4.0;
            svg.line(left, y, left + plot, y, Svg.GRID, 1).text(left - 8, y + 4, "end", plain(tickStep * tick) + " %");
        }
        double step = (double) plot / count;
        int every = Math.max(1, count / 16);
        for (int i = 0; i < count; i++) {
            double x = left + step * (i + 0.5);
            if (i > 0) {
                svg.line(
                        x - step,
                        y(errors.rounding().get(i - 1), most, bottom),
                        x,
                        y(errors.rounding().get(i), most, bottom),
                        Svg.BASELINE,
                        1.5);
                svg.line(
                        x - step,
                        y(errors.quantized().get(i - 1), most, bottom),
                        x,
                        y(errors.quantized().get(i), most, bottom),
                        Svg.MODEL,
                        1.5);
            }
            if (i % every == 0) {
                svg.text(x, bottom + 16, "middle", Integer.toString(i));
            }
        }
        for (int i = 0; i < count; i++) {
            double x = left + step * (i + 0.5);
            svg.square(x, y(errors.rounding().get(i), most, bottom), Svg.BASELINE)
                    .dot(x, y(errors.quantized().get(i), most, bottom), Svg.MODEL);
        }
        return svg.text(left + plot / 2.0, bottom + 34, "middle", "layer")
                .square(left + 8, 14, Svg.BASELINE)
                .text(left + 18, 18, "start", "plain rounding")
                .dot(left + 138, 14, Svg.MODEL)
                .text(left + 148, 18, "start", errors.method());
    }

    /** The least of 1, 2, 2.5 and 5 times a power of ten that is not below {@code least}. */
    private static double roundStep(double least) {
        double power = Math.pow(10, Math.floor(Math.log10(least)));
        for (double factor : new double[] {1, 2, 2.5, 5}) {
            if (factor * power >= least * (1 - 1e-9)) {
                return factor * power;
            }
        }
        return 10 * power;
    }

    private static String plain(double value) {
        return new java.math.BigDecimal(value)
                .round(new java.math.MathContext(6))
                .stripTrailingZeros()
                .toPlainString();
    }

    /** What fits beside a plot; a path's end says more than its beginning. */
    private static String shortened(String label) {
        return label.length() <= 34 ? label : "…" + label.substring(label.length() - 33);
    }

    private static double y(double value, double most, int bottom) {
        return bottom - (bottom - 30) * value / most;
    }

    /** Perplexities, those of one text together; bars begin at 0. */
    static Svg perplexities(List<PerplexityFigure> figures) {
        Map<String, List<PerplexityFigure>> byText = new LinkedHashMap<>();
        figures.forEach(
                f -> byText.computeIfAbsent(f.text(), _ -> new ArrayList<>()).add(f));
        Svg svg = new Svg(WIDTH, 10 + 24 * figures.size() + 26 * byText.size(), "Perplexities");
        double most =
                figures.stream().mapToDouble(PerplexityFigure::perplexity).max().orElse(1);
        double y = 20;
        for (Map.Entry<String, List<PerplexityFigure>> text : byText.entrySet()) {
            svg.text(LEFT, y, "start", text.getKey());
            y += 8;
            for (PerplexityFigure figure : text.getValue()) {
                double end = LEFT + (PLOT - 60) * figure.perplexity() / most;
                svg.text(LEFT - 8, y + 11, "end", shortened(figure.label()))
                        .bar(
                                LEFT,
                                y,
                                end - LEFT,
                                14,
                                figure.equals(text.getValue().getFirst()) ? Svg.HATCHED : Svg.MODEL)
                        .text(end + 6, y + 11, "start", String.format(Locale.ROOT, "%.4f", figure.perplexity()));
                y += 24;
            }
            y += 18;
        }
        return svg;
    }

    /** The report's perplexities, with those that the divergence was measured beside. */
    static List<PerplexityFigure> figures(Report report) {
        List<PerplexityFigure> figures = new ArrayList<>();
        report.comparison().ifPresent(c -> {
            @Nullable Divergence d = c.divergence();
            if (d != null) {
                String text = "%s, gptq, %d windows of %d".formatted(d.dataset(), d.windows(), d.contextTokens());
                figures.add(new PerplexityFigure(c.baseline().model(), text, d.baselinePerplexity()));
                figures.add(new PerplexityFigure(c.model().model(), text, d.perplexity()));
            }
        });
        figures.addAll(report.perplexities());
        return figures;
    }
}
