package nibble.eval.report;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Writes the errors of each linear as an HTML table that is folded until a reader opens it. */
final class LinearTable {
    private LinearTable() {}

    static String html(LayerErrors errors) {
        boolean fitted = errors.linears().stream().anyMatch(linear -> linear.fit() != null);
        boolean heldOut = errors.linears().stream()
                .map(LayerErrors.OfLinear::fit)
                .anyMatch(fit -> fit != null && fit.heldOut() != null);
        StringBuilder html =
                new StringBuilder("<details><summary>" + errors.linears().size()
                        + " linears: relative squared error of the output on the calibration text</summary>\n"
                        + "<table>\n"
                        + "<thead><tr>");
        HtmlReport.head(html, "text", "Linear");
        HtmlReport.head(html, "", errors.method());
        if (fitted) {
            HtmlReport.head(html, "", "AWQ's scales");
        }
        HtmlReport.head(html, "", "Plain rounding");
        if (fitted) {
            HtmlReport.head(html, "", "Propagated share", "Sweeps");
        }
        if (heldOut) {
            HtmlReport.head(html, "", "Held-out text", "AWQ's scales there", "Taken back");
        }
        html.append("</tr></thead>\n<tbody>\n");
        for (LayerErrors.OfLinear linear : errors.linears()) {
            LayerErrors.@Nullable OfFit fit = linear.fit();
            html.append("<tr>");
            HtmlReport.cells(html, "name", linear.name());
            HtmlReport.cells(html, "", percent(linear.quantized()));
            if (fitted) {
                HtmlReport.cells(html, "", fit == null ? "" : percent(fit.awq()));
            }
            HtmlReport.cells(html, "", percent(linear.rounding()));
            if (fitted) {
                HtmlReport.cells(
                        html,
                        "",
                        fit == null ? "" : decimals(fit.propagatedShare()),
                        fit == null ? "" : decimals(fit.sweeps()));
            }
            if (heldOut) {
                HtmlReport.cells(
                        html,
                        "",
                        fit == null ? "" : percent(fit.heldOut()),
                        fit == null ? "" : percent(fit.heldOutAwq()),
                        fit != null && fit.takenBack() ? "yes" : "");
            }
            html.append("</tr>\n");
        }
        return html.append("</tbody>\n</table>\n</details>\n").toString();
    }

    private static String percent(@Nullable Double share) {
        return share == null ? "" : String.format(Locale.ROOT, "%.3f %%", 100 * share);
    }

    private static String decimals(double value) {
        return String.format(Locale.ROOT, "%.2f", value);
    }
}
