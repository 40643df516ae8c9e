package nibble.cli.option;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.cli.terminal.Terminal;
import nibble.eval.report.HtmlReport;
import nibble.eval.report.LayerErrors;
import nibble.eval.report.MarkdownReport;
import nibble.eval.report.PerplexityFigure;
import nibble.eval.report.Report;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Reports for people, and what goes into them beside the tasks. */
public final class ReportOptions {
    @Option(names = "--html", paramLabel = "FILE", description = "Write one self-contained HTML page with plots.")
    @Nullable
    Path html;

    @Option(
            names = "--markdown",
            paramLabel = "FILE",
            description = "Write a table for a model card; - is standard output.")
    @Nullable
    Path markdown;

    @Option(
            names = "--quantization-report",
            paramLabel = "FILE",
            description = "A checkpoint's quantization_report.json, to plot each layer's error.")
    @Nullable
    public Path quantizationReport;

    @Option(
            names = "--perplexity",
            paramLabel = "FILE",
            arity = "1..*",
            description = "JSON of 'nibble eval perplexity', the baseline's first. A file's name labels its figure.")
    public List<Path> perplexities = List.of();

    public boolean asked() {
        return html != null || markdown != null;
    }

    /**
     * Checks that the files to read are there.
     *
     * @throws InputException if a file to read is not there
     */
    public void requireInputs() {
        InputFile.require("--perplexity", perplexities);
        InputFile.require("--quantization-report", quantizationReport);
    }

    /**
     * Checks that reports can be written.
     *
     * @throws UsageException if a report could not be written
     */
    public void check() {
        requireWritable("--html", html);
        requireWritable("--markdown", toStandardOutput() ? null : markdown);
    }

    private static void requireWritable(String option, @Nullable Path file) {
        if (file != null) {
            OutputFile.require(option, file);
        }
    }

    public boolean toStandardOutput() {
        return markdown != null && markdown.toString().equals("-");
    }

    public List<PerplexityFigure> figures() {
        return perplexities.stream().map(PerplexityFigure::read).toList();
    }

    public Optional<LayerErrors> layers() {
        return Optional.ofNullable(quantizationReport).map(LayerErrors::read);
    }

    /** Writes the reports that were asked for, each whole or not at all. */
    public void write(Terminal terminal, Report report) {
        if (html != null) {
            OutputFile.write("--html ", html, HtmlReport.render(report));
        }
        if (toStandardOutput()) {
            terminal.out().print(MarkdownReport.render(report));
            terminal.out().flush();
        } else if (markdown != null) {
            OutputFile.write("--markdown ", markdown, MarkdownReport.render(report));
        }
    }
}
