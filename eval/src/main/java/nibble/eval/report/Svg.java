package nibble.eval.report;

import java.util.Locale;

/**
 * An SVG drawing that grows from left to right and top to bottom, sized in pixels. Colours are of Okabe and Ito's set,
 * which people with any colour vision tell apart; the baseline's bars are hatched besides, for print without colour.
 */
final class Svg {
    static final String MODEL = "#0072B2";
    static final String BASELINE = "#E69F00";
    static final String HATCHED = "url(#hatched)";
    static final String LINE = "#444444";
    static final String GRID = "#dddddd";

    private final StringBuilder body = new StringBuilder();
    private final int width;
    private final int height;
    private final String title;

    /** @param title read to those who do not see the drawing */
    Svg(int width, int height, String title) {
        this.width = width;
        this.height = height;
        this.title = title;
    }

    Svg line(double x1, double y1, double x2, double y2, String colour, double thickness) {
        add(
                "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%.1f\"/>",
                x1, y1, x2, y2, colour, thickness);
        return this;
    }

    Svg bar(double x, double y, double barWidth, double barHeight, String fill) {
        String stroke = fill.equals(HATCHED) ? BASELINE : fill;
        add(
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" stroke=\"%s\"/>",
                x, y, Math.max(0, barWidth), barHeight, fill, stroke);
        return this;
    }

    Svg dot(double x, double y, String colour) {
        add("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>", x, y, colour);
        return this;
    }

    Svg square(double x, double y, String colour) {
        add(
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\" fill=\"#ffffff\" stroke=\"%s\""
                        + " stroke-width=\"1.5\"/>",
                x - 3.5, y - 3.5, colour);
        return this;
    }

    /** A horizontal error bar with caps, set off from what it lies on. */
    Svg error(double from, double to, double y, String colour) {
        return line(from, y, to, y, "#ffffff", 4)
                .line(from, y, to, y, colour, 1.5)
                .line(from, y - 3, from, y + 3, colour, 1.5)
                .line(to, y - 3, to, y + 3, colour, 1.5);
    }

    /** @param anchor start, middle or end */
    Svg text(double x, double y, String anchor, String text) {
        add("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>", x, y, anchor, Html.escape(text));
        return this;
    }

    /** Two marks with their names, from x on. */
    Svg legend(double x, double y, String baseline, String model) {
        bar(x, y - 9, 14, 9, HATCHED).text(x + 20, y, "start", baseline);
        double next = x + 40 + 7.0 * baseline.length();
        return bar(next, y - 9, 14, 9, MODEL).text(next + 20, y, "start", model);
    }

    private void add(String format, Object... values) {
        body.append(String.format(Locale.ROOT, format, values)).append('\n');
    }

    @Override
    public String toString() {
        return String.format(
                Locale.ROOT,
                "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\""
                    + " xmlns=\"http://www.w3.org/2000/svg\">%n<defs><pattern id=\"hatched\" width=\"5\" height=\"5\""
                    + " patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"5\" height=\"5\""
                    + " fill=\"#ffffff\"/><rect width=\"2.5\" height=\"5\" fill=\"%s\"/></pattern></defs>%n%s</svg>%n",
                width,
                height,
                width,
                height,
                Html.escape(title),
                BASELINE,
                body);
    }
}
